//! Opens a handle from the options of the command line: hosts, credentials, recipe and times.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use election::{Dialect, Error, Handle, Options, Recipe};

use crate::failure::{Failure, Result};
use crate::options;

/// The environment variable that may hold credentials. `election` removes it from the environment of every job.
pub const AUTH: &str = "ELECTION_AUTH";

/// The environment variable that may hold the password of a key. It is removed as well.
pub const TLS_KEY_PASSWORD: &str = "ELECTION_TLS_KEY_PASSWORD";

impl options::Queue {
    pub fn recipe(&self) -> Recipe {
        match (self.recipe, self.dialect) {
            (options::Recipe::Node, _) => Recipe::Node,
            (options::Recipe::Queue, options::Dialect::CuratorLatch) => Recipe::Queue(Dialect::CuratorLatch),
            (options::Recipe::Queue, options::Dialect::CuratorLock) => Recipe::Queue(Dialect::CuratorLock),
            (options::Recipe::Queue, options::Dialect::Kazoo) => Recipe::Queue(Dialect::Kazoo),
            (options::Recipe::Queue, options::Dialect::LeaderElectionSupport) => {
                Recipe::Queue(Dialect::LeaderElectionSupport)
            }
            (options::Recipe::Queue, options::Dialect::Seed) => Recipe::Queue(Dialect::Seed),
            (options::Recipe::Queue, options::Dialect::WriteLock) => Recipe::Queue(Dialect::WriteLock),
        }
    }
}

impl options::Acl {
    pub fn acl(self) -> election::Acl {
        match self {
            options::Acl::Open => election::Acl::Open,
            options::Acl::Creator => election::Acl::Creator,
            options::Acl::CreatorWorldRead => election::Acl::CreatorWorldRead,
        }
    }
}

/// Options with the credentials of the user.
pub fn options(servers: &options::Servers, recipe: Recipe) -> Result<Options> {
    let mut options = Options::default();
    options.set_recipe(recipe);
    for (scheme, auth) in credentials(servers.auth_file.as_deref())? {
        options.add_auth(&scheme, &auth).map_err(|error| Failure::usage(format!("credentials: {error}")))?;
    }
    if servers.tls.is_on() {
        set_tls(&servers.tls, &mut options)?;
    }
    set_sasl(&servers.sasl, &mut options)?;
    Ok(options)
}

fn set_tls(tls: &options::Tls, options: &mut Options) -> Result<()> {
    let name = |option: &str, file: Option<&Path>| match file.map(Path::to_str) {
        None => Ok(String::new()),
        Some(Some(name)) if !name.contains(',') => Ok(name.to_owned()),
        // The library takes the names as one string, with commas between.
        Some(_) => Err(Failure::usage(format!("{option}: the name of the file has a comma, or is not UTF-8"))),
    };
    let (ca, certificate) =
        (name("--tls-ca", tls.tls_ca.as_deref())?, name("--tls-cert", tls.tls_cert.as_deref())?);
    let key = name("--tls-key", tls.tls_key.as_deref())?;
    if let Some(file) = tls.tls_key.as_deref().or(tls.tls_cert.as_deref()) {
        let option = if tls.tls_key.is_some() { "--tls-key" } else { "--tls-cert" };
        open_secret(file).map_err(|why| Failure::usage(format!("{option} {}: {why}", file.display())))?;
    }
    let password = match &tls.tls_key_password_file {
        Some(file) => {
            let option = "--tls-key-password-file";
            let text = read(file).map_err(|why| Failure::usage(format!("{option} {}: {why}", file.display())))?;
            let password = text.lines().next().unwrap_or_default().to_owned();
            overwrite(text);
            password
        }
        None => std::env::var(TLS_KEY_PASSWORD).unwrap_or_default(),
    };
    let secret = if tls.tls_cert.is_some() { password.as_str() } else { "" };
    let files = format!("{ca},{certificate},{key},{secret}");
    let is_set = options.set_tls(&files);
    [password, files].into_iter().for_each(overwrite);
    is_set.map_err(bad_tls)?;
    options.set_tls_verify_host(!tls.tls_skip_host_check);
    Ok(())
}

/// The library has its own copy of a secret, which no core file has.
fn overwrite(secret: String) {
    let mut bytes = secret.into_bytes();
    bytes.fill(0);
    // No compiler takes the zeros for useless.
    std::hint::black_box(&mut bytes);
}

fn set_sasl(sasl: &options::Sasl, options: &mut Options) -> Result<()> {
    let secret = |option: &str, file: Option<&Path>| {
        let Some(file) = file else { return Ok(String::new()) };
        let refused = |why: &str| Failure::usage(format!("{option} {}: {why}", file.display()));
        open_secret(file).map_err(|why| refused(&why))?;
        file.to_str().map(str::to_owned).ok_or_else(|| refused("its name is not UTF-8"))
    };
    let password_file = secret("--sasl-password-file", sasl.sasl_password_file.as_deref())?;
    let keytab = secret("--sasl-keytab", sasl.sasl_keytab.as_deref())?;
    for (name, value) in [
        ("mechanism", sasl.sasl_mechanism.as_deref()),
        ("user", sasl.sasl_user.as_deref()),
        ("password_file", Some(&*password_file)),
        ("realm", sasl.sasl_realm.as_deref()),
        ("keytab", Some(&*keytab)),
        ("ccache", sasl.sasl_ccache.as_deref()),
        ("service", sasl.sasl_service.as_deref()),
        ("host", sasl.sasl_host.as_deref()),
    ] {
        options.set_sasl(name, value.unwrap_or_default()).map_err(bad_sasl)?;
    }
    Ok(())
}

/// The error names the parameter, or the file.
fn bad_sasl(error: Error) -> Failure {
    Failure::usage(format!("SASL: {}", error.detail().unwrap_or_else(|| error.to_string())))
}

/// The error names the file.
fn bad_tls(error: Error) -> Failure {
    Failure::usage(format!("TLS: {}", error.detail().unwrap_or_else(|| error.to_string())))
}

/// Sets a time that an option of the command line gives.
pub fn set_time(
    option: &str,
    time: Duration,
    set: impl FnOnce(Duration) -> std::result::Result<(), Error>,
) -> Result<()> {
    set(time).map_err(|error| Failure::usage(format!("{option} {}: {error}", humantime::format_duration(time))))
}

/// Opens a handle. If the hosts are malformed, the failure is a usage error.
pub fn open(hosts: &str, options: &Options) -> Result<Handle> {
    Handle::open(hosts, options).map_err(|error| match error {
        Error::BadHosts => Failure::usage(format!("--hosts {hosts:?}: {error}")),
        Error::BadTls => bad_tls(error),
        Error::BadSasl => bad_sasl(error),
        Error::Timeout | Error::ZooKeeper(_) => Failure::unknown(format!("{hosts}: {error}")),
        _ => Failure::failed(format!("{hosts}: {error}")),
    })
}

/// Refuses an invalid path.
pub fn check_path(path: &str) -> Result<()> {
    election::check_path(path).map_err(|error| Failure::usage(format!("--path {path:?}: {error}")))
}

type Credential = (String, Vec<u8>);

fn credentials(file: Option<&Path>) -> Result<Vec<Credential>> {
    let mut found = Vec::new();
    if let Some(file) = file {
        found.extend(
            read(file)
                .and_then(|text| parse(&text))
                .map_err(|why| Failure::usage(format!("--auth-file {}: {why}", file.display())))?,
        );
    }
    if let Ok(text) = std::env::var(AUTH) {
        found.extend(parse(&text).map_err(|why| Failure::usage(format!("{AUTH}: {why}")))?);
    }
    Ok(found)
}

fn read(path: &Path) -> std::result::Result<String, String> {
    let mut text = String::new();
    open_secret(path)?.read_to_string(&mut text).map_err(|error| plain(&error))?;
    Ok(text)
}

/// Opens a file that holds a secret, if others than its owner and its group have no access.
fn open_secret(path: &Path) -> std::result::Result<File, String> {
    let file = File::open(path).map_err(|error| plain(&error))?;
    let metadata = file.metadata().map_err(|error| plain(&error))?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    // If others can write the file, its content is not the user's. If others can read it, it is not secret.
    if metadata.mode() & 0o027 != 0 {
        let mode = metadata.mode() & 0o777;
        return Err(format!("others than its owner have access (mode {mode:03o}): run chmod 600, or 640"));
    }
    Ok(file)
}

/// Parses credentials. An error message has the number of their line, but never the credentials.
fn parse(text: &str) -> std::result::Result<Vec<Credential>, String> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim_end_matches('\r')));
    let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| match line.split_once(' ') {
            Some((scheme, auth)) if !scheme.is_empty() && !auth.is_empty() => {
                Ok((scheme.to_owned(), auth.as_bytes().to_vec()))
            }
            _ => Err(format!(
                "line {number} is not a scheme, a blank, and a credential, such as `digest user:password`"
            )),
        })
        .collect()
}

/// The system's error in words, without its number.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_lowercase(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_line_by_line() {
        let digest = |auth: &str| ("digest".to_owned(), auth.as_bytes().to_vec());
        assert_eq!(parse("digest a:b c\n\n# who\r\ndigest d:e\r\n"), Ok(vec![digest("a:b c"), digest("d:e")]));
        assert!(parse("digest a:b\ndigest\n").is_err_and(|why| why.contains("line 2") && !why.contains("a:b")));
        assert!(parse(" x").is_err());
    }
}
