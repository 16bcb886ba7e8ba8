//! Kerberos: the mechanism GSSAPI (RFC 4752), by MIT's library.
//!
//! A login takes a ticket from the cache, or gets one by the keytab. With it, both sides prove who they are; then they agree
//! on a security layer, which is none. Each login looks at the cache anew, so somebody else may renew its ticket at any time.
//! The tickets of a keytab are kept in the memory of the process for as long as the handle lives, so a login asks no KDC while
//! they are valid.

mod library;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, CString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{KerberosSettings, Mechanism, SaslFault};
use library::{
    Context, Credential, Failure, Library, MemoryCache, Name, NameKind, BAD_SIGNATURE, CREDENTIAL_EXPIRED,
    DEFECTIVE_TOKEN, NO_CREDENTIAL,
};

/// A ticket that expires sooner is renewed before it is used: a login takes some time.
const SHORTEST_LEFT_S: u32 = 5;

/// The security layers of RFC 4752, as bits. Ours is none.
const NO_LAYER: u8 = 1;

/// A keytab without keys, so that libkrb5 renews nothing behind our back.
const NO_KEYTAB: &CStr = c"MEMORY:libelection-none";

/// The tickets that a keytab gave, for all connections of one handle.
#[derive(Default)]
pub struct Tickets(Mutex<Option<Arc<Cache>>>);

struct Cache {
    memory: MemoryCache,
    /// A server has refused these tickets, and none has accepted them since. It may have a new key.
    is_doubted: AtomicBool,
}

impl Tickets {
    fn current(&self) -> Option<Arc<Cache>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A server refuses us. The next login asks for new tickets.
    pub fn doubt(&self) {
        if let Some(cache) = self.current() {
            cache.is_doubted.store(true, Ordering::Relaxed);
        }
    }

    fn replace(&self, cache: Arc<Cache>) {
        // The former one is destroyed after the lock is released.
        let _former = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(cache);
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tickets")
    }
}

/// Whether the library and the keytab are there, without asking anybody.
pub fn check(settings: &KerberosSettings) -> Result<(), String> {
    Library::load()?;
    let Some(keytab) = &settings.keytab else { return Ok(()) };
    readable(keytab).map_err(|said| format!("the keytab {}: {said}", keytab.display()))
}

fn readable(file: &Path) -> Result<(), String> {
    let plain = |error: std::io::Error| {
        let text = error.to_string();
        text.split(" (os error").next().unwrap_or(&text).to_lowercase()
    };
    // The opening of a pipe may wait for ever.
    match std::fs::metadata(file).map_err(plain)?.is_file() {
        true => std::fs::File::open(file).map(drop).map_err(plain),
        false => Err("it is not a regular file".to_owned()),
    }
}

fn credential(
    library: &'static Library,
    settings: &KerberosSettings,
) -> Result<(Credential, Option<Arc<Cache>>), SaslFault> {
    let told = |failure: Failure| Moment::Ticket(settings.keytab.as_deref()).fault(&failure);
    let text = |bytes: Vec<u8>| {
        CString::new(bytes).map_err(|_| SaslFault::Credentials("a name for Kerberos has a 0 byte in it".to_owned()))
    };
    let principal = settings.user.as_deref().map(|user| Name::import(library, user, NameKind::Principal));
    let principal = principal.transpose().map_err(told)?;
    let Some(keytab) = &settings.keytab else {
        let cache = settings.ccache.as_ref().map(|name| text(name.clone().into_bytes())).transpose()?;
        let taken = Credential::acquire(library, principal.as_ref(), cache.as_deref(), None).map_err(told)?;
        return Ok((taken, None));
    };
    let keytab = text([b"FILE:", keytab.as_os_str().as_bytes()].concat())?;
    let former = settings.tickets.current().and_then(|cache| {
        let name = Some(cache.memory.name());
        let taken = Credential::acquire(library, principal.as_ref(), name, Some(NO_KEYTAB)).ok()?;
        Some((taken, cache))
    });
    let is_good = |(taken, cache): &(Credential, Arc<Cache>)| {
        taken.left_s >= SHORTEST_LEFT_S && !cache.is_doubted.load(Ordering::Relaxed)
    };
    let former = match former {
        Some(former) if is_good(&former) => return Ok((former.0, Some(former.1))),
        former => former.filter(|(taken, _)| taken.left_s > 0),
    };
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let memory = MemoryCache::new(library, COUNT.fetch_add(1, Ordering::Relaxed));
    let cache = Arc::new(Cache { memory, is_doubted: AtomicBool::new(false) });
    match Credential::acquire(library, principal.as_ref(), Some(cache.memory.name()), Some(&keytab)) {
        Ok(taken) => {
            settings.tickets.replace(cache.clone());
            Ok((taken, Some(cache)))
        }
        // Better a ticket that may be refused than none.
        Err(failure) => former.map(|(taken, cache)| (taken, Some(cache))).ok_or_else(|| told(failure)),
    }
}

/// One login.
pub struct Gssapi {
    keytab: Option<PathBuf>,
    // Dropped in this order.
    context: Context,
    server: Name,
    credential: Credential,
    cache: Option<Arc<Cache>>,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Each side proves who it is.
    Proving {
        has_sent: bool,
    },
    /// The server is to say which security layers it has.
    Layer,
    Done,
}

impl Gssapi {
    /// Begins with the ticket. Asks a KDC if it has to.
    pub fn new(settings: &KerberosSettings, host: &str) -> Result<Gssapi, SaslFault> {
        let library = Library::load().map_err(SaslFault::Credentials)?;
        let told = |failure: Failure| Moment::Ticket(settings.keytab.as_deref()).fault(&failure);
        let server = format!("{}@{}", settings.service, settings.host.as_deref().unwrap_or(host));
        let server = Name::import(library, &server, NameKind::Service).map_err(told)?;
        let (credential, cache) = credential(library, settings)?;
        Ok(Gssapi {
            keytab: settings.keytab.clone(),
            credential,
            cache,
            server,
            context: Context::new(library),
            step: Step::Proving { has_sent: false },
        })
    }
}

impl Mechanism for Gssapi {
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslFault> {
        match self.step {
            Step::Proving { has_sent } => {
                let moment = if has_sent { Moment::Proof } else { Moment::Ticket(self.keytab.as_deref()) };
                let next = self.context.next(&self.credential, &self.server, challenge);
                let next = next.map_err(|failure| moment.fault(&failure))?;
                if let Some(cache) = self.cache.as_ref().filter(|_| next.stands) {
                    cache.is_doubted.store(false, Ordering::Relaxed);
                }
                self.step = if next.stands { Step::Layer } else { Step::Proving { has_sent: true } };
                Ok(next.token)
            }
            Step::Layer => {
                let told = |failure: Failure| Moment::Proof.fault(&failure);
                let offer = self.context.unwrap(challenge).map_err(told)?;
                let choice = choose_layer(&offer)?;
                let answer = self.context.wrap(&choice).map_err(told)?;
                self.step = Step::Done;
                Ok(answer)
            }
            Step::Done => Err(SaslFault::Malformed("it goes on after the end of the mechanism GSSAPI")),
        }
    }

    fn is_complete(&self) -> bool {
        self.step == Step::Done
    }
}

/// The server offers security layers and says how long a message for it may be. We take none, and send no name: we act for
/// ourselves.
fn choose_layer(offer: &[u8]) -> Result<[u8; 4], SaslFault> {
    match offer {
        [layers, _, _, _] if layers & NO_LAYER != 0 => Ok([NO_LAYER, 0, 0, 0]),
        [_, _, _, _] => Err(SaslFault::Malformed("it demands a security layer of the mechanism GSSAPI")),
        _ => Err(SaslFault::Malformed("its offer of security layers is not 4 bytes long")),
    }
}

/// What was being done when the library failed.
#[derive(Clone, Copy)]
enum Moment<'s> {
    /// We got the ticket for the server, by this keytab if there is one.
    Ticket(Option<&'s Path>),
    /// We read what the server said.
    Proof,
}

impl Moment<'_> {
    fn fault(self, failure: &Failure) -> SaslFault {
        let said = &failure.said;
        SaslFault::Credentials(match Trouble::of(failure, self) {
            Trouble::NoSuchPrincipal => format!("Kerberos has no such principal: {said}"),
            Trouble::ClockSkew => format!("the clocks differ too much for Kerberos: {said}"),
            Trouble::KdcUnreachable => format!("the KDC cannot be reached: {said}"),
            Trouble::NoTicket => format!("there is no Kerberos ticket: {said}"),
            Trouble::TicketExpired => format!("the Kerberos ticket has expired: {said}"),
            Trouble::WrongKeytab => format!("the keytab {} cannot be used: {said}", self.keytab().display()),
            Trouble::NoKey => format!("the keytab {} has no key of the principal", self.keytab().display()),
            Trouble::Impostor => return SaslFault::Impostor,
            Trouble::Malformed => return SaslFault::Malformed("it sends a token of GSSAPI that makes no sense"),
            Trouble::Other => format!("Kerberos failed: {said}"),
        })
    }

    fn keytab(&self) -> &Path {
        match self {
            Moment::Ticket(Some(keytab)) => keytab,
            Moment::Ticket(None) | Moment::Proof => Path::new(""),
        }
    }
}

/// The causes that an operator can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    NoSuchPrincipal,
    ClockSkew,
    KdcUnreachable,
    NoTicket,
    TicketExpired,
    WrongKeytab,
    NoKey,
    Impostor,
    Malformed,
    Other,
}

/// Where the numbers of libkrb5 begin (krb5_err.et), and those of its GSSAPI (gssapi_err_krb5.et). The former are the numbers
/// of RFC 4120 and, from 128, its own.
const KRB5: u32 = -1_765_328_384_i32 as u32;
const KRB5_GSSAPI: u32 = 39_756_032;

impl Trouble {
    fn of(failure: &Failure, moment: Moment) -> Trouble {
        let krb5 = failure.minor.wrapping_sub(KRB5);
        let gssapi = failure.minor.wrapping_sub(KRB5_GSSAPI);
        let has_keytab = matches!(moment, Moment::Ticket(Some(_)));
        match (krb5, moment) {
            // KDC_ERR_C_PRINCIPAL_UNKNOWN, KDC_ERR_S_PRINCIPAL_UNKNOWN.
            (6 | 7, _) => Trouble::NoSuchPrincipal,
            // KRB_AP_ERR_SKEW, KRB5_KDCREP_SKEW.
            (37 | 148, _) => Trouble::ClockSkew,
            // KRB5_REALM_UNKNOWN, KRB5_KDC_UNREACH, KRB5_REALM_CANT_RESOLVE.
            (154 | 156 | 220, _) => Trouble::KdcUnreachable,
            // KRB_AP_ERR_TKT_EXPIRED.
            (32, _) => Trouble::TicketExpired,
            // KRB_AP_ERR_BAD_INTEGRITY, KRB_AP_ERR_MODIFIED, KRB_AP_ERR_MUT_FAIL.
            (31 | 41 | 46, Moment::Proof) => Trouble::Impostor,
            _ if matches!(moment, Moment::Proof) => match failure.major & 0x00ff_0000 {
                BAD_SIGNATURE => Trouble::Impostor,
                DEFECTIVE_TOKEN => Trouble::Malformed,
                _ => Trouble::Other,
            },
            // KDC_ERR_PREAUTH_FAILED, KRB_AP_ERR_BAD_INTEGRITY: the key is not, or no longer, that of the principal.
            // KRB5_KT_NOTFOUND, KRB5_KT_KVNONOTFOUND, KRB5_KT_FORMAT, KRB5_CC_NOT_KTYPE.
            (24 | 31 | 181 | 230 | 235 | 200, _) if has_keytab => Trouble::WrongKeytab,
            // KRB5_FCC_NOFILE: there was nothing to fill the cache of ours with.
            (195, _) if has_keytab => Trouble::NoKey,
            // The file is gone, or nobody may read it.
            _ if has_keytab && matches!(failure.minor as i32, libc::ENOENT | libc::EACCES) => Trouble::WrongKeytab,
            // KG_CCACHE_NOMATCH, KG_TGT_MISSING, KG_EMPTY_CCACHE; KRB5_CC_NOTFOUND, KRB5_FCC_NOFILE, KRB5_KT_NOTFOUND.
            _ if matches!(gssapi, 0 | 2 | 12) => Trouble::NoTicket,
            (141 | 195 | 181, _) => Trouble::NoTicket,
            _ => match failure.major & 0x00ff_0000 {
                CREDENTIAL_EXPIRED => Trouble::TicketExpired,
                NO_CREDENTIAL if !has_keytab => Trouble::NoTicket,
                _ => Trouble::Other,
            },
        }
    }
}
