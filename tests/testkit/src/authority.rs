//! Authorities that sign certificates, made by openssl(1) when a test needs them.

use crate::folder::ScratchFolder;
use crate::process::lock;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

const CONFIG: &str = "\
[ca]
default_ca = this
[this]
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
default_md = sha256
policy = any
unique_subject = no
rand_serial = yes
copy_extensions = copy
[any]
commonName = supplied
";

/// An authority of its own. Its files go with it.
#[derive(Debug)]
pub struct Authority {
    folder: ScratchFolder,
    /// openssl keeps an account of what it signs, one signature at a time.
    account: Mutex<()>,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub certificate: PathBuf,
    /// In PKCS#8.
    pub key: PathBuf,
    /// Both in one file, as ZooKeeper's key store wants them.
    pub both: PathBuf,
}

impl Authority {
    #[allow(clippy::new_without_default)] // It starts programs.
    pub fn new() -> Authority {
        Authority::named("authority")
    }

    /// Two authorities of one name are two: they have keys of their own.
    pub fn named(name: &str) -> Authority {
        let folder = ScratchFolder::new("authority");
        fs::write(folder.path().join("ca.cnf"), CONFIG).expect("ca.cnf can be written");
        fs::write(folder.path().join("index.txt"), "").expect("index.txt can be written");
        let authority = Authority { folder, account: Mutex::new(()) };
        authority.openssl(&format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN={name}"
        ));
        authority
    }

    /// The certificate of the authority itself.
    pub fn ca(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// A file in the folder of the authority.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate for these names, such as "DNS:zk1,IP:127.0.0.1". It has an elliptic key and is valid now.
    pub fn issue(&self, name: &str, names: &str) -> Certificate {
        self.issue_for(name, names, "-newkey ec -pkeyopt ec_paramgen_curve:P-256", "-days 30")
    }

    /// The same, with a key and a time of validity as openssl's `req` and `ca` take them, for example
    /// `-startdate 20200101000000Z -enddate 20200102000000Z`.
    pub fn issue_for(&self, name: &str, names: &str, key: &str, valid: &str) -> Certificate {
        let _account = lock(&self.account);
        self.openssl(&format!(
            "req -new {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} -addext subjectAltName={names}"
        ));
        self.openssl(&format!("ca -config ca.cnf -batch -notext -in {name}.csr -out {name}.crt {valid}"));
        let [certificate, key, both] = ["crt", "key", "pem"].map(|ending| self.path(&format!("{name}.{ending}")));
        let text = [&key, &certificate].map(|file| fs::read_to_string(file).expect("openssl wrote it")).concat();
        fs::write(&both, text).expect("a file can be written");
        Certificate { certificate, key, both }
    }

    /// Runs openssl in the folder of the authority, with arguments that have blanks between them and none in them.
    #[track_caller]
    pub fn openssl(&self, arguments: &str) {
        let ran = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output();
        match ran {
            Ok(output) if output.status.success() => {}
            Ok(output) => panic!("openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => panic!("openssl is not installed: run `make setup` ({error})"),
        }
    }
}

impl Certificate {
    /// The string that names a CA file and this certificate, as the library takes it.
    pub fn with_ca(&self, ca: &Path) -> String {
        format!("{},{},{}", ca.display(), self.certificate.display(), self.key.display())
    }
}
