//! The storage outside of ZooKeeper that a master writes to: a register that takes writes with a token. For a *fenced*
//! write it asks the library's verifier. It accepts each *unfenced* write, as a storage without tokens would, so that
//! the history shows the use of the token. It records each write in the order in which it decided on it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use election::Verifier;

use crate::clock;

struct Book {
    verifiers: BTreeMap<String, Verifier>,
    /// The last writer, by path.
    writers: BTreeMap<String, String>,
    history: File,
}

/// Serves for as long as the process lives.
pub struct Register {
    path: PathBuf,
    book: Arc<Mutex<Book>>,
}

impl Register {
    /// Listens at `folder`/register.socket and writes `history`.
    pub fn start(folder: &Path, history: &Path) -> Register {
        let path = folder.join("register.socket");
        let listener = UnixListener::bind(&path).expect("a scratch folder takes a socket");
        let history = File::create(history).expect("the history can be written");
        let book = Arc::new(Mutex::new(Book { verifiers: BTreeMap::new(), writers: BTreeMap::new(), history }));
        let served = Arc::clone(&book);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let book = Arc::clone(&served);
                // The connection ends when the writer ends, which may be killed at any moment.
                std::thread::spawn(move || serve(&stream, &book));
            }
        });
        Register { path, book }
    }

    /// The process that last wrote as a master at this path.
    pub fn writer(&self, path: &str) -> Option<String> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner).writers.get(path).cloned()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn serve(stream: &UnixStream, book: &Mutex<Book>) -> Option<()> {
    for line in BufReader::new(stream).lines() {
        let line = line.ok()?;
        let words: Vec<&str> = line.split(' ').collect();
        let [kind @ ("fenced" | "unfenced"), path, token, who] = words[..] else { return None };
        let token: i64 = token.parse().ok()?;
        let rc = {
            let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
            let is_taken = kind == "unfenced"
                || book.verifiers.entry(path.to_owned()).or_insert_with(|| Verifier::new(0)).admit(token);
            let at = clock::now();
            if is_taken {
                book.writers.insert(path.to_owned(), who.to_owned());
            }
            writeln!(book.history, "write {at} {path} {kind} {token} {who} {}", u8::from(is_taken)).ok()?;
            if is_taken {
                0
            } else {
                STALE_TOKEN
            }
        };
        writeln!(&mut &*stream, "{rc}").ok()?;
    }
    Some(())
}

const STALE_TOKEN: i32 = -1021;
