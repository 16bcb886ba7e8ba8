//! DIGEST-MD5 (RFC 2831), as far as ZooKeeper's servers use it: authentication alone, no protection of what follows.
//!
//! The server sends a challenge with a nonce. Our answer shows that we know the password, and the server's last message that
//! it knows it, too. The password does not cross the network, but whoever hears the exchange can guess it at leisure: a
//! network that cannot be trusted needs TLS beside it.
//!
//! The server forgets the nonce with the connection, so each connection begins with an empty message, as the C client does.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use md5::{Digest, Md5};
use zeroize::{Zeroize, Zeroizing};

use super::{DigestSettings, Mechanism, SaslFault, DIGEST_HOST};
use crate::driver::guid;
use crate::driver::hosts::shown;
use crate::driver::secret::SecretBytes;

/// The longest challenge that is read. The standard allows 2,048 bytes.
const CHALLENGE_MAX: usize = 8_192;

/// The longest password, in bytes: as in the C client.
const PASSWORD_MAX: usize = 1_023;

/// The longest password file that is looked at.
const FILE_MAX: u64 = 65_536;

pub struct DigestMd5 {
    user: String,
    realm: Option<String>,
    uri: String,
    password: SecretBytes,
    /// Drawn for this exchange.
    cnonce: String,
    state: State,
}

enum State {
    Start,
    /// The server owes its challenge.
    Asked,
    /// The server owes the proof that it knows the password, and this is the one that does.
    Answered(String),
    Complete,
}

impl DigestMd5 {
    /// Reads the password.
    pub fn new(settings: &DigestSettings) -> Result<DigestMd5, SaslFault> {
        let password = password(&settings.password_file).map_err(SaslFault::Credentials)?;
        let drawn = guid::new()
            .map_err(|error| SaslFault::Credentials(format!("the system has no random numbers: {error}")))?;
        Ok(DigestMd5 {
            user: settings.user.clone(),
            realm: settings.realm.clone(),
            uri: format!("{}/{}", settings.service, settings.host.as_deref().unwrap_or(DIGEST_HOST)),
            password,
            cnonce: format!("{drawn:032x}"),
            state: State::Start,
        })
    }

    /// Our answer to a challenge, and the server's proof that goes with it.
    fn answer(&self, challenge: &[u8]) -> Result<(Vec<u8>, String), SaslFault> {
        let challenge = Challenge::read(challenge)?;
        let realm = self.choose_realm(&challenge)?;
        let in_charset = |text: &str| challenge.encode(text);
        let user_name = in_charset(&self.user)?;

        let mut secret = Zeroizing::new(Vec::with_capacity(self.user.len() + realm.len() + PASSWORD_MAX + 16));
        hashed_form(self.user.as_bytes(), &mut secret);
        secret.push(b':');
        hashed_form(&realm, &mut secret);
        secret.push(b':');
        hashed_form(&self.password, &mut secret);
        let mut key = Md5::digest(&*secret);
        let mut a1 = Zeroizing::new(Vec::with_capacity(key.len() + challenge.nonce.len() + self.cnonce.len() + 2));
        a1.extend_from_slice(&key);
        key.as_mut_slice().zeroize();
        for part in [&challenge.nonce[..], self.cnonce.as_bytes()] {
            a1.push(b':');
            a1.extend_from_slice(part);
        }
        let a1 = Zeroizing::new(hex(&a1));
        let proof = |method: &str| {
            let a2 = hex(format!("{method}:{}", self.uri).as_bytes());
            let parts =
                [a1.as_bytes(), &challenge.nonce, b"00000001", self.cnonce.as_bytes(), b"auth", a2.as_bytes()];
            hex(&parts.join(&b':'))
        };

        let mut answer = Vec::new();
        if challenge.is_utf8 {
            answer.extend_from_slice(b"charset=utf-8,");
        }
        quoted("username", &user_name, &mut answer);
        if !realm.is_empty() {
            quoted("realm", &realm, &mut answer);
        }
        quoted("nonce", &challenge.nonce, &mut answer);
        quoted("cnonce", self.cnonce.as_bytes(), &mut answer);
        quoted("digest-uri", self.uri.as_bytes(), &mut answer);
        answer.extend_from_slice(format!("nc=00000001,qop=auth,response={}", proof("AUTHENTICATE")).as_bytes());
        Ok((answer, proof("")))
    }

    /// The realm as it goes over the network: the program's, or the first one that the server offers, or none.
    fn choose_realm(&self, challenge: &Challenge) -> Result<Vec<u8>, SaslFault> {
        let Some(realm) = &self.realm else { return Ok(challenge.realms.first().cloned().unwrap_or_default()) };
        let ours = challenge.encode(realm)?;
        if challenge.realms.is_empty() || challenge.realms.contains(&ours) {
            return Ok(ours);
        }
        let offered = challenge.realms.iter().map(|realm| shown(&String::from_utf8_lossy(realm)));
        let offered = offered.collect::<Vec<_>>().join(", ");
        Err(SaslFault::Credentials(format!("the realm is to be {}, and the server has {offered}", shown(realm))))
    }
}

impl Mechanism for DigestMd5 {
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault> {
        match &self.state {
            State::Start => {
                self.state = State::Asked;
                Ok(Vec::new())
            }
            State::Asked if challenge.is_empty() => Err(SaslFault::NoSasl),
            State::Asked => {
                let (answer, proof) = self.answer(challenge)?;
                self.state = State::Answered(proof);
                Ok(answer)
            }
            State::Answered(proof) => {
                let directives = directives(challenge)?;
                let is_proved = directives.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case(b"rspauth") && value.eq_ignore_ascii_case(proof.as_bytes())
                });
                if !is_proved {
                    return Err(SaslFault::Impostor);
                }
                self.state = State::Complete;
                Ok(Vec::new())
            }
            State::Complete => Err(SaslFault::Malformed("goes on after the end of DIGEST-MD5")),
        }
    }

    fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }
}

/// The server's first message.
#[derive(Debug, Default, PartialEq, Eq)]
struct Challenge {
    realms: Vec<Vec<u8>>,
    nonce: Vec<u8>,
    is_utf8: bool,
}

impl Challenge {
    fn read(bytes: &[u8]) -> Result<Challenge, SaslFault> {
        let mut challenge = Challenge::default();
        let (mut nonces, mut qops, mut algorithms, mut charsets) = (0, 0, 0, 0);
        for (name, value) in directives(bytes)? {
            match name.to_ascii_lowercase().as_slice() {
                b"realm" => challenge.realms.push(value),
                b"nonce" => {
                    nonces += 1;
                    challenge.nonce = value;
                }
                b"qop" => {
                    qops += 1;
                    if !value.split(|byte| *byte == b',').any(|qop| qop.trim_ascii().eq_ignore_ascii_case(b"auth"))
                    {
                        return Err(SaslFault::Malformed(
                            "demands that SASL encrypts, which this library does not",
                        ));
                    }
                }
                b"algorithm" => {
                    algorithms += 1;
                    if !value.eq_ignore_ascii_case(b"md5-sess") {
                        return Err(SaslFault::Malformed("demands another algorithm than md5-sess"));
                    }
                }
                b"charset" => {
                    charsets += 1;
                    challenge.is_utf8 = value.eq_ignore_ascii_case(b"utf-8");
                    if !challenge.is_utf8 {
                        return Err(SaslFault::Malformed("demands another character set than UTF-8"));
                    }
                }
                // "stale", "maxbuf", "cipher", and what others may add.
                _ => {}
            }
        }
        match (nonces, qops, algorithms, charsets) {
            (1, 0 | 1, 1, 0 | 1) if !challenge.nonce.is_empty() => Ok(challenge),
            _ => Err(MALFORMED),
        }
    }

    /// A text as it goes over the network.
    fn encode(&self, text: &str) -> Result<Vec<u8>, SaslFault> {
        if self.is_utf8 {
            return Ok(text.as_bytes().to_vec());
        }
        let latin1: Result<Vec<u8>, _> = text.chars().map(|c| u8::try_from(u32::from(c))).collect();
        latin1.map_err(|_| {
            SaslFault::Credentials(format!("the server takes no UTF-8, and {} has other letters", shown(text)))
        })
    }
}

const MALFORMED: SaslFault = SaslFault::Malformed("sends no challenge of DIGEST-MD5");

/// A name and its value.
type Directive = (Vec<u8>, Vec<u8>);

/// Parses `name=value,name="value"`, with spaces and empty elements wherever the grammar of RFC 2831 allows them.
fn directives(bytes: &[u8]) -> Result<Vec<Directive>, SaslFault> {
    if bytes.len() > CHALLENGE_MAX {
        return Err(MALFORMED);
    }
    let mut rest = Scanner(bytes);
    let mut found = Vec::new();
    loop {
        rest.skip(|byte| byte == b',' || is_space(byte));
        if rest.0.is_empty() {
            return Ok(found);
        }
        let name = rest.take_while(is_of_token).to_vec();
        rest.skip(is_space);
        let is_pair = rest.next() == Some(b'=');
        rest.skip(is_space);
        let value = match rest.0.first() {
            Some(b'"') => rest.quoted()?,
            _ => rest.take_while(is_of_token).to_vec(),
        };
        rest.skip(is_space);
        if name.is_empty() || !is_pair || !matches!(rest.0.first(), None | Some(b',')) {
            return Err(MALFORMED);
        }
        found.push((name, value));
    }
}

struct Scanner<'a>(&'a [u8]);

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take_while(&mut self, is_in: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|byte| !is_in(*byte)).unwrap_or(self.0.len());
        let (taken, rest) = self.0.split_at(end);
        self.0 = rest;
        taken
    }

    fn skip(&mut self, is_in: impl Fn(u8) -> bool) {
        self.take_while(is_in);
    }

    /// A quoted string, without its quotes and backslashes.
    fn quoted(&mut self) -> Result<Vec<u8>, SaslFault> {
        let mut value = Vec::new();
        self.next();
        loop {
            match self.next().ok_or(MALFORMED)? {
                b'"' => return Ok(value),
                b'\\' => value.push(self.next().ok_or(MALFORMED)?),
                byte => value.push(byte),
            }
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte)
}

/// Appends `name="value",`.
fn quoted(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    for byte in value {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.extend_from_slice(b"\",");
}

/// Appends a text as it is hashed: in ISO 8859-1 if it has no other letters, else as it is (RFC 2831, 2.1.2.1).
fn hashed_form(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    if let Ok(utf8) = std::str::from_utf8(text) {
        for c in utf8.chars() {
            match u8::try_from(u32::from(c)) {
                Ok(byte) => out.push(byte),
                Err(_) => {
                    out.truncate(start);
                    break;
                }
            }
        }
    }
    if out.len() == start {
        out.extend_from_slice(text);
    }
}

/// The digest of `bytes`, as text.
fn hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::with_capacity(32), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
        text
    })
}

/// The first line of the file.
pub fn password(file: &Path) -> Result<SecretBytes, String> {
    let what = format!("the password file {}", file.display());
    let plain = |error: io::Error| {
        let text = error.to_string();
        format!("{what}: {}", text.split(" (os error").next().unwrap_or(&text).to_lowercase())
    };
    // A pipe would be empty when it is read again for the next connection, and its opening may wait for ever.
    let metadata = fs::metadata(file).map_err(plain)?;
    if !metadata.is_file() {
        return Err(format!("{what}: it is not a regular file"));
    }
    if metadata.len() > FILE_MAX {
        return Err(format!("{what}: it is longer than {FILE_MAX} bytes"));
    }
    // With room for all of it, and one byte more, no copy stays where the bytes were before they grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(metadata.len() as usize + 64));
    File::open(file).and_then(|file| file.take(FILE_MAX).read_to_end(&mut bytes)).map_err(plain)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match line {
        [] => Err(format!("{what}: its first line is empty")),
        line if line.len() > PASSWORD_MAX => {
            Err(format!("{what}: its first line is longer than {PASSWORD_MAX} bytes"))
        }
        line if std::str::from_utf8(line).is_err() || line.contains(&0) => {
            Err(format!("{what}: its first line is not UTF-8 text"))
        }
        line => Ok(SecretBytes::new(line)),
    }
}

#[cfg(test)]
mod tests {
    use testkit::ScratchFolder;

    use super::*;

    fn ours(user: &str, realm: Option<&str>, password: &str) -> DigestMd5 {
        DigestMd5 {
            user: user.to_owned(),
            realm: realm.map(str::to_owned),
            uri: "imap/elwood.innosoft.com".to_owned(),
            password: SecretBytes::new(password.as_bytes()),
            cnonce: "OA6MHXh6VqTrRk".to_owned(),
            state: State::Start,
        }
    }

    const CHALLENGE: &[u8] = b"realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",qop=\"auth\",\
                               algorithm=md5-sess,charset=utf-8";

    /// The example of RFC 2831, section 4.
    #[test]
    fn the_example_of_the_standard() {
        let mut ours = ours("chris", None, "secret");
        assert_eq!(ours.step(b""), Ok(Vec::new()));
        let answer = ours.step(CHALLENGE).unwrap();
        let expected = "charset=utf-8,username=\"chris\",realm=\"elwood.innosoft.com\",nonce=\"OA6MG9tEQGm2hh\",\
                        cnonce=\"OA6MHXh6VqTrRk\",digest-uri=\"imap/elwood.innosoft.com\",nc=00000001,qop=auth,\
                        response=d388dad90d4bbd760a152321f2143af7";
        assert_eq!(String::from_utf8(answer).unwrap(), expected);
        assert!(!ours.is_complete());
        assert_eq!(ours.step(b"rspauth=ea40f60335c427b5527b84dbabcdfffd"), Ok(Vec::new()));
        assert!(ours.is_complete());
        assert!(matches!(ours.step(b""), Err(SaslFault::Malformed(_))));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        for proof in [
            &b"rspauth=ea40f60335c427b5527b84dbabcdfffe"[..],
            b"rspauth=",
            b"rspauth=ea40f60335c427b5527b84dbabcdfffd0",
            b"rsp=ea40f60335c427b5527b84dbabcdfffd",
            b"",
        ] {
            let mut ours = ours("chris", None, "secret");
            ours.step(b"").unwrap();
            ours.step(CHALLENGE).unwrap();
            assert_eq!(ours.step(proof), Err(SaslFault::Impostor), "{}", proof.escape_ascii());
            assert!(!ours.is_complete());
        }
    }

    fn answer(ours: &DigestMd5, challenge: &str) -> Result<String, SaslFault> {
        ours.answer(challenge.as_bytes()).map(|(answer, _)| String::from_utf8_lossy(&answer).into_owned())
    }

    #[test]
    fn names_are_escaped_and_in_the_servers_letters() {
        let odd = ours("o\"b\\ö", None, "päss");
        let said = answer(&odd, "nonce=\"a\\\"b\",algorithm=md5-sess").unwrap();
        let expected = "username=\"o\\\"b\\\\\u{fffd}\",nonce=\"a\\\"b\",";
        assert!(said.starts_with(expected), "{said}");
        let said = answer(&odd, "nonce=x,algorithm=md5-sess,charset=utf-8").unwrap();
        assert!(said.starts_with("charset=utf-8,username=\"o\\\"b\\\\ö\",nonce=\"x\","), "{said}");
        let fault = answer(&ours("日", None, "x"), "nonce=x,algorithm=md5-sess").unwrap_err();
        assert!(matches!(fault, SaslFault::Credentials(said) if said.contains("takes no UTF-8")));

        let form = |text: &str| {
            let mut out = b"before".to_vec();
            hashed_form(text.as_bytes(), &mut out);
            out.split_off(6)
        };
        assert_eq!(form("pä"), b"p\xe4");
        assert_eq!(form("pä日"), "pä日".as_bytes());
        assert_eq!(form(""), b"");
    }

    #[test]
    fn the_realm_is_the_programs_or_the_first_one() {
        let two = "realm=\"a\",realm=\"b\",nonce=\"x\",algorithm=md5-sess,charset=utf-8";
        let none = "nonce=\"x\",algorithm=md5-sess,charset=utf-8";
        for (realm, challenge, expected) in [
            (None, two, "realm=\"a\","),
            (Some("b"), two, "realm=\"b\","),
            (Some("b"), none, "realm=\"b\","),
            (None, none, "username=\"u\",nonce="),
        ] {
            let said = answer(&ours("u", realm, "p"), challenge).unwrap();
            assert!(said.contains(expected), "{said}");
        }
        let fault = answer(&ours("u", Some("c"), "p"), two).unwrap_err();
        let said = "the realm is to be \"c\", and the server has \"a\", \"b\"";
        assert_eq!(fault, SaslFault::Credentials(said.to_owned()));
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        for good in [
            " , nonce = \"x\" ,, algorithm=MD5-SESS ,",
            "NONCE=x,algorithm=md5-sess,qop=\"auth-int, AUTH\",stale=true,maxbuf=65536,cipher=\"rc4,3des\"",
        ] {
            assert!(Challenge::read(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "nonce=\"x\"",
            "algorithm=md5-sess",
            "nonce=\"\",algorithm=md5-sess",
            "nonce=x,nonce=y,algorithm=md5-sess",
            "nonce=x,algorithm=md5-sess,algorithm=md5-sess",
            "nonce=x,algorithm=md5",
            "nonce=x,algorithm=md5-sess,qop=\"auth-conf\"",
            "nonce=x,algorithm=md5-sess,charset=utf-16",
            "nonce=\"x,algorithm=md5-sess",
            "nonce=\"x\\",
            "nonce=\"x\"y,algorithm=md5-sess",
            "nonce,algorithm=md5-sess",
            "=x,algorithm=md5-sess,nonce=x",
            &format!("nonce=x,algorithm=md5-sess,realm=\"{}\"", "r".repeat(9_000)),
        ] {
            assert!(matches!(Challenge::read(bad.as_bytes()), Err(SaslFault::Malformed(_))), "{bad}");
        }
    }

    /// Whatever a server sends, the mechanism ends, and takes no other proof than the right one.
    #[test]
    fn whatever_comes_ends_in_a_fault_or_an_answer() {
        let alphabet = b"nonce=\"x\\,algorithm md5-sess;realm\"\"qop=auth charset=utf-8\x00\xff\xe4rspauth,,==";
        let mut random = fastrand::Rng::with_seed(17);
        let (mut answers, mut faults) = (0, 0);
        for _ in 0..20_000 {
            let mut challenge = CHALLENGE.to_vec();
            for _ in 0..random.usize(..6) {
                let (at, byte) = (random.usize(..challenge.len()), alphabet[random.usize(..alphabet.len())]);
                match random.u8(..4) {
                    0 => challenge[at] = byte,
                    1 => challenge.insert(at, byte),
                    2 if challenge.len() > 1 => drop(challenge.remove(at)),
                    _ => challenge.extend_from_within(at..(at + random.usize(..20)).min(challenge.len())),
                }
            }
            if random.u8(..10) == 0 {
                challenge = (0..random.usize(..200)).map(|_| alphabet[random.usize(..alphabet.len())]).collect();
            }
            let mut ours = ours("chris", None, "secret");
            ours.step(b"").unwrap();
            match ours.step(&challenge) {
                Ok(answer) => {
                    answers += 1;
                    assert!(answer.len() <= 2 * challenge.len() + 300, "{}", challenge.escape_ascii());
                    assert!(directives(&answer).is_ok(), "what we say can be read: {}", answer.escape_ascii());
                    assert!(ours.step(&challenge).is_err());
                }
                Err(_) => faults += 1,
            }
            assert!(!ours.is_complete());
        }
        assert!(answers > 1_000 && faults > 1_000, "{answers} answers, {faults} faults");
    }

    #[test]
    fn a_password_file_has_the_password_in_its_first_line() {
        let folder = ScratchFolder::new("password");
        let file = folder.path().join("password");
        let long = "x".repeat(1_024);
        for (text, outcome) in [
            (&b"secret"[..], Ok("secret")),
            (b"secret\nmore\n", Ok("secret")),
            (b" se cret \r\n", Ok(" se cret ")),
            (b"", Err("its first line is empty")),
            (b"\nsecret", Err("its first line is empty")),
            (b"se\0cret", Err("not UTF-8 text")),
            (b"se\xffcret", Err("not UTF-8 text")),
            (long.as_bytes(), Err("longer than 1023 bytes")),
            (&[b'\n'; 70_000], Err("longer than 65536 bytes")),
        ] {
            fs::write(&file, text).unwrap();
            match (password(&file), outcome) {
                (Ok(read), Ok(expected)) => assert_eq!(*read, *expected.as_bytes()),
                (Err(said), Err(fault)) => {
                    assert!(said.starts_with("the password file /") && said.ends_with(fault), "{said}");
                    assert!(!said.contains("secret"), "{said}");
                }
                (read, _) => panic!("{read:?} of {}", text.escape_ascii()),
            }
        }
        for (path, fault) in [(folder.path().join("none"), "no such file"), (folder.path().into(), "regular file")]
        {
            let said = password(&path).unwrap_err();
            assert!(said.contains(fault), "{said}");
        }
    }
}
