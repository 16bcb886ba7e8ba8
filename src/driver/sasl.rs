//! SASL: how a client proves to a ZooKeeper server who it is, step by step. What the program asks for, and the
//! mechanisms.
//!
//! Nothing is negotiated: the server's JAAS file says which mechanism it takes. A mechanism does its work on a thread of
//! its own ([`super::session::login`]), because a file system or another server may be slow. All that it needs is read
//! anew for each connection, so a password that is changed needs no restart.

#[cfg(feature = "sasl")]
mod digest_md5;
#[cfg(feature = "sasl")]
mod gssapi;

use std::fmt;
use std::path::PathBuf;

use super::hosts::shown;
use crate::logic::Report;

/// The longest value of a parameter, in bytes.
const VALUE_MAX: usize = 4_096;

/// The service and the host that ZooKeeper's servers go by (`SecurityUtils.createSaslServer`).
const SERVICE: &str = "zookeeper";
#[cfg(feature = "sasl")]
const DIGEST_HOST: &str = "zk-sasl-md5";

/// One side of a SASL exchange. It lives for one connection.
pub trait Mechanism: Send {
    /// The next message for the server. `challenge` is the server's last message, empty at first. An empty result is sent
    /// too, unless the mechanism is complete then.
    ///
    /// # Errors
    /// This connection cannot be used.
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault>;

    /// Whether we have nothing more to say. If a last message was sent, the server's answer to it ends the exchange and is
    /// not looked at.
    fn is_complete(&self) -> bool;
}

/// Why we do not go on with an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
// A build without SASL has no exchange.
#[cfg_attr(not(feature = "sasl"), allow(dead_code))]
pub enum SaslFault {
    /// What we need for it cannot be used, and why.
    Credentials(String),
    /// The server has sent something else than the next message: the rest of a sentence about it.
    Malformed(&'static str),
    /// The server has nothing to say, as one that has no SASL.
    NoSasl,
    /// The server does not prove that it knows the password, so it may be another one.
    Impostor,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MechanismName {
    DigestMd5,
    Gssapi,
}

impl MechanismName {
    const ALL: [MechanismName; 2] = [MechanismName::DigestMd5, MechanismName::Gssapi];

    pub fn name(self) -> &'static str {
        match self {
            MechanismName::DigestMd5 => "DIGEST-MD5",
            MechanismName::Gssapi => "GSSAPI",
        }
    }
}

impl fmt::Display for MechanismName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the program asks for.
#[cfg_attr(not(feature = "sasl"), allow(dead_code))]
#[derive(Debug)]
pub enum SaslSettings {
    DigestMd5(DigestSettings),
    Gssapi(KerberosSettings),
}

#[cfg_attr(not(feature = "sasl"), allow(dead_code))]
#[derive(Debug)]
pub struct DigestSettings {
    /// The name of the servers' service.
    pub service: String,
    /// The servers' name, if it is not the one that all have by default.
    pub host: Option<String>,
    pub user: String,
    pub realm: Option<String>,
    pub password_file: PathBuf,
}

#[cfg_attr(not(feature = "sasl"), allow(dead_code))]
#[derive(Debug, Default)]
pub struct KerberosSettings {
    /// The name of the servers' service.
    pub service: String,
    /// The servers' name, if it is not the one in the connect string.
    pub host: Option<String>,
    /// Our principal, if it is not that of the ticket, or of the first key.
    pub user: Option<String>,
    pub keytab: Option<PathBuf>,
    /// The cache with our ticket, if it is not the default one.
    pub ccache: Option<String>,
    /// The tickets that the keytab gave.
    #[cfg(feature = "sasl")]
    pub tickets: gssapi::Tickets,
}

impl SaslSettings {
    /// A server has refused us. What was kept for the next connection may be the reason.
    pub fn refused(&self) {
        #[cfg(feature = "sasl")]
        if let SaslSettings::Gssapi(settings) = self {
            settings.tickets.doubt();
        }
    }
}

/// The parameters as the program sets them, one at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SaslParameters {
    mechanism: Option<MechanismName>,
    service: Option<String>,
    host: Option<String>,
    user: Option<String>,
    realm: Option<String>,
    password_file: Option<String>,
    keytab: Option<String>,
    ccache: Option<String>,
}

impl SaslParameters {
    /// Sets a parameter. An empty value takes it back.
    ///
    /// # Errors
    /// A sentence about the name or the value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        if value.len() > VALUE_MAX {
            return Err(format!("the value of {} is longer than {VALUE_MAX} bytes", shown(name)));
        }
        if value.chars().any(char::is_control) {
            return Err(format!("the value of {} has a control character in it", shown(name)));
        }
        let slot = match name {
            "mechanism" => {
                let known = |known: &MechanismName| known.name() == value;
                let found = MechanismName::ALL.into_iter().find(known);
                if found.is_none() && !value.is_empty() {
                    let known = MechanismName::ALL.map(MechanismName::name).join(", ");
                    return Err(format!("there is no mechanism {}; there is {known}", shown(value)));
                }
                self.mechanism = found;
                return Ok(());
            }
            "service" => &mut self.service,
            "host" => &mut self.host,
            "user" => &mut self.user,
            "realm" => &mut self.realm,
            "password_file" => &mut self.password_file,
            "keytab" => &mut self.keytab,
            "ccache" => &mut self.ccache,
            _ => return Err(format!("there is no parameter {}", shown(name))),
        };
        *slot = (!value.is_empty()).then(|| value.to_owned());
        Ok(())
    }

    /// All of them together; `None` if none is set.
    ///
    /// # Errors
    /// A sentence about what is missing.
    pub fn settings(&self) -> Result<Option<SaslSettings>, String> {
        let SaslParameters { mechanism, service, host, user, realm, password_file, keytab, ccache } = self.clone();
        let Some(mechanism) = mechanism else {
            return match *self == SaslParameters::default() {
                true => Ok(None),
                false => Err("there are parameters, but no mechanism".to_owned()),
            };
        };
        let missing = |what: &str| format!("{mechanism} needs a {what}");
        let not_taken = |what: &str| Err(format!("{mechanism} takes no {what}"));
        let service = service.unwrap_or_else(|| SERVICE.to_owned());
        Ok(Some(match mechanism {
            MechanismName::DigestMd5 if keytab.is_some() => return not_taken("keytab"),
            MechanismName::DigestMd5 if ccache.is_some() => return not_taken("ccache"),
            MechanismName::DigestMd5 => SaslSettings::DigestMd5(DigestSettings {
                service,
                host,
                user: user.ok_or_else(|| missing("user"))?,
                realm,
                password_file: password_file.ok_or_else(|| missing("password_file"))?.into(),
            }),
            MechanismName::Gssapi if password_file.is_some() => return not_taken("password_file"),
            MechanismName::Gssapi if realm.is_some() => {
                return Err("GSSAPI takes no realm; it is a part of the user, as in app@REALM".to_owned())
            }
            MechanismName::Gssapi if keytab.is_some() && ccache.is_some() => {
                return Err("GSSAPI takes a keytab or a ccache, not both".to_owned())
            }
            MechanismName::Gssapi => SaslSettings::Gssapi(KerberosSettings {
                service,
                host,
                user,
                keytab: keytab.map(PathBuf::from),
                ccache,
                #[cfg(feature = "sasl")]
                tickets: gssapi::Tickets::default(),
            }),
        }))
    }
}

impl SaslParameters {
    /// What is set, which has no secret in it.
    pub fn describe(&self) -> Report {
        if *self == SaslParameters::default() {
            return Report::Nothing;
        }
        let text = |value: &Option<String>| value.clone().map_or(Report::Nothing, Report::from);
        Report::from([
            ("mechanism", self.mechanism.map_or(Report::Nothing, |mechanism| mechanism.name().into())),
            ("service", text(&self.service)),
            ("host", text(&self.host)),
            ("user", text(&self.user)),
            ("realm", text(&self.realm)),
            ("password_file", text(&self.password_file)),
            ("keytab", text(&self.keytab)),
            ("ccache", text(&self.ccache)),
        ])
    }
}

/// Looks at the files, and says which one cannot be used and why.
#[cfg(feature = "sasl")]
pub fn check(settings: &SaslSettings) -> Result<(), String> {
    match settings {
        SaslSettings::DigestMd5(settings) => digest_md5::password(&settings.password_file).map(drop),
        SaslSettings::Gssapi(settings) => gssapi::check(settings),
    }
}

#[cfg(not(feature = "sasl"))]
pub fn check(_: &SaslSettings) -> Result<(), String> {
    Err("this library was built without SASL, the cargo feature `sasl`".to_owned())
}

/// Our side of an exchange with a server, which has this name in the connect string. May take long.
#[cfg(feature = "sasl")]
pub fn start(settings: &SaslSettings, host: &str) -> Result<Box<dyn Mechanism>, SaslFault> {
    match settings {
        SaslSettings::DigestMd5(settings) => Ok(Box::new(digest_md5::DigestMd5::new(settings)?)),
        SaslSettings::Gssapi(settings) => Ok(Box::new(gssapi::Gssapi::new(settings, host)?)),
    }
}

/// [`check`] lets nothing come here.
#[cfg(not(feature = "sasl"))]
pub fn start(settings: &SaslSettings, _host: &str) -> Result<Box<dyn Mechanism>, SaslFault> {
    check(settings).and(Err(String::new())).map_err(SaslFault::Credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[(&str, &str)]) -> SaslParameters {
        let mut parameters = SaslParameters::default();
        for (name, value) in values {
            parameters.set(name, value).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        }
        parameters
    }

    #[test]
    fn what_is_missing_is_told() {
        assert!(matches!(with(&[]).settings(), Ok(None)));
        assert!(matches!(with(&[("user", "app"), ("user", "")]).settings(), Ok(None)));
        let digest = ("mechanism", "DIGEST-MD5");
        let kerberos = ("mechanism", "GSSAPI");
        for (values, fault) in [
            (&[("user", "app")][..], "no mechanism"),
            (&[digest], "DIGEST-MD5 needs a user"),
            (&[digest, ("user", "app")], "DIGEST-MD5 needs a password_file"),
            (&[digest, ("keytab", "/x")], "DIGEST-MD5 takes no keytab"),
            (&[digest, ("ccache", "/x")], "DIGEST-MD5 takes no ccache"),
            (&[kerberos, ("password_file", "/x")], "GSSAPI takes no password_file"),
            (&[kerberos, ("realm", "R")], "GSSAPI takes no realm"),
            (&[kerberos, ("keytab", "/x"), ("ccache", "/y")], "a keytab or a ccache, not both"),
        ] {
            let said = with(values).settings().expect_err(fault);
            assert!(said.contains(fault), "{said}");
        }
        let settings = with(&[digest, ("user", "app"), ("password_file", "/x")]).settings().unwrap().unwrap();
        let SaslSettings::DigestMd5(settings) = settings else { panic!("{settings:?}") };
        assert_eq!((&*settings.service, settings.host, settings.realm), ("zookeeper", None, None));
        let settings = with(&[kerberos]).settings().unwrap().unwrap();
        let SaslSettings::Gssapi(settings) = settings else { panic!("{settings:?}") };
        assert_eq!((&*settings.service, settings.host, settings.user), ("zookeeper", None, None));
    }

    #[test]
    fn what_there_is_not_is_told_at_once() {
        let long = "x".repeat(5_000);
        for (name, value, fault) in [
            ("mechanism", "PLAIN", "there is no mechanism \"PLAIN\"; there is "),
            ("mechanism", "digest-md5", "there is no mechanism"),
            ("password", "secret", "there is no parameter \"password\""),
            ("user", "a\nb", "control character"),
            ("realm", &long, "longer than"),
        ] {
            let said = SaslParameters::default().set(name, value).expect_err(value);
            assert!(said.contains(fault) && !said.contains("secret"), "{said}");
        }
    }
}
