//! The code that the C items share: handles that are numbers, strings and bytes from C, one guard around every body,
//! and the events as C sees them.

pub mod last_error;

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

use super::{
    election_acl_t, election_alarm_t, election_dispatch_t, election_event_t, election_free_fn,
    election_leadership_t, election_lease_mode_t, election_master_t, election_member_t, election_members_t,
    election_reason_t, election_recipe_t, election_role_t, election_t, ELECTION_FOREVER,
};
use crate::handle::{
    enter, explain, failpoint, is_child, kin, outside, Acl, Dispatch, Error, Handle, Kin, Leadership, Map,
};
use crate::logic::{Alarm, Dialect, Event, LeaseMode, Master, Member, Members, Reason, Recipe, Role};

/// Runs a body. Returns `otherwise` if the body panics, or if the call cannot be made here.
pub fn guard<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    run(body).unwrap_or(otherwise)
}

/// Runs a body and returns its result as a code.
pub fn answer(body: impl FnOnce() -> Result<(), Error>) -> c_int {
    answer_with(|| body().map(|()| 0))
}

/// Runs a body and returns its code. If the body fails, returns the code of the error and stores the text of
/// election_explain. A function that a signal handler may call must not use this, because it frees and allocates
/// memory.
pub fn answer_with(body: impl FnOnce() -> Result<c_int, Error>) -> c_int {
    let answered = run(|| {
        last_error::begin();
        body().unwrap_or_else(|error| {
            last_error::failed(error);
            error.code()
        })
    });
    answered.unwrap_or_else(|error| {
        if error == Error::Internal {
            guard((), || last_error::failed(error));
        }
        error.code()
    })
}

fn run<T>(body: impl FnOnce() -> T) -> Result<T, Error> {
    // This comes before anything that takes a lock or memory: here the lock of malloc may be held for ever.
    if is_child() && kin() == Kin::Copied {
        return Err(Error::Forked);
    }
    let entered = enter(|| {
        failpoint!("border");
        body()
    });
    entered.map_err(|_| Error::InHandler)?.map_err(|_| Error::Internal)
}

/// Fails in a child of the process that the handles belong to.
pub fn check_process() -> Result<(), Error> {
    match kin() {
        Kin::Itself => Ok(()),
        Kin::Forked | Kin::Copied | Kin::Sharer => Err(Error::Forked),
    }
}

pub fn strerror(rc: c_int) -> &'static CStr {
    CStr::from_bytes_with_nul(explain(rc).as_bytes()).unwrap_or_default()
}

/// The open handles by number.
static HANDLES: Map<usize, Arc<Handle>> = Map::new();

/// The pointer by which C knows a handle of this process; NULL for none. Numbers are not used again. They are odd,
/// unlike the address of an allocated object. They are not small, so a small number that a program has in a pointer by
/// mistake is none of them.
///
/// A process may hold two copies of the library. Each copy refuses the handles of the other. The numbers of a copy
/// begin at the address of its own table. The two tables are far enough apart for as many handles as a process can
/// open.
pub fn handle_of(id: u64) -> *mut election_t {
    match id as usize {
        0 => std::ptr::null_mut(),
        id => first_number(&raw const HANDLES as usize).wrapping_add(id.wrapping_mul(2)) as *mut election_t,
    }
}

/// The number of the handle that C knows by this pointer; 0 if there never was such a handle. Async-signal-safe.
pub fn id_of(handle: *const election_t) -> u64 {
    match (handle as usize).wrapping_sub(first_number(&raw const HANDLES as usize)) {
        twice if twice % 2 == 0 => (twice / 2) as u64,
        _ => 0,
    }
}

fn first_number(table: usize) -> usize {
    // On a 64-bit system, the addresses leave room to set the numbers of two copies further apart.
    const APART: usize = if usize::BITS == 64 { 1 << 16 } else { 1 };
    table.wrapping_mul(APART) | 1
}

pub fn register(election: Handle) -> *mut election_t {
    let handle = handle_of(election.id());
    HANDLES.insert(handle as usize, Arc::new(election));
    handle
}

pub fn find(handle: *const election_t) -> Result<Arc<Handle>, Error> {
    if handle.is_null() {
        return Err(Error::BadHandle);
    }
    check_process()?;
    HANDLES.get(&(handle as usize)).ok_or(Error::BadHandle)
}

/// Looks at an open handle without keeping it. This also works in a child that shares our memory.
pub fn with<T>(handle: *const election_t, look: impl FnOnce(&Handle) -> T) -> Result<T, Error> {
    if is_child() {
        return Err(Error::Forked);
    }
    HANDLES.with(&(handle as usize), |election| look(election)).ok_or(Error::BadHandle)
}

/// The leaderships of functions that lead, by number. C knows a leadership by a number for the same reasons as a
/// handle. There is one more reason: a thread that a function started may still ask after the function has returned.
static LEADERSHIPS: Map<usize, Arc<Leadership>> = Map::new();

/// A leadership while C may use it.
pub struct Shown(usize);

impl Shown {
    pub fn new(leadership: &Arc<Leadership>) -> Shown {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let number = first_number(&raw const LEADERSHIPS as usize).wrapping_add(id.wrapping_mul(2));
        LEADERSHIPS.insert(number, leadership.clone());
        Shown(number)
    }

    pub fn number(&self) -> *const election_leadership_t {
        self.0 as *const election_leadership_t
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        LEADERSHIPS.remove(&self.0);
    }
}

pub fn leadership(leadership: *const election_leadership_t) -> Result<Arc<Leadership>, Error> {
    if is_child() {
        return Err(Error::Forked);
    }
    let found = LEADERSHIPS.get(&(leadership as usize)).ok_or(Error::BadLeadership)?;
    found.is_of_this_process().then_some(found).ok_or(Error::Forked)
}

/// Closes a handle and removes it from the table, unless it cannot be closed here.
pub fn unregister(handle: *mut election_t) -> Result<(), Error> {
    let election = find(handle)?;
    let closed = election.close();
    if matches!(closed, Ok(()) | Err(Error::ConnectionLoss | Error::Internal)) {
        // If several threads close it at the same time, the first one removes it.
        HANDLES.remove(&(handle as usize));
    }
    closed
}

/// Fails in a child that shares its parent's memory, and in a child that was not made by `fork()`. Every other process may
/// have state of its own.
pub fn check_memory() -> Result<(), Error> {
    match kin() {
        Kin::Itself | Kin::Forked => Ok(()),
        Kin::Copied | Kin::Sharer => Err(Error::Forked),
    }
}

/// Text from C.
///
/// # Safety
/// `text` is NULL or a string that ends with a 0 byte and outlives the result.
pub unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    if text.is_null() {
        last_error::bad_text("is NULL");
        return None;
    }
    let text = unsafe { CStr::from_ptr(text) }.to_str();
    text.map_err(|_| last_error::bad_text("is not UTF-8")).ok()
}

/// Bytes from C; NULL is allowed for none.
///
/// # Safety
/// `bytes` is NULL or points to `len` bytes that outlive the result.
pub unsafe fn bytes<'a>(bytes: *const c_void, len: usize) -> Option<&'a [u8]> {
    match (bytes.is_null(), len) {
        (_, 0) => Some(&[]),
        (true, _) => None,
        // Longer than any value may be. A slice of such a length cannot exist.
        (false, len) if len > isize::MAX as usize => None,
        (false, len) => Some(unsafe { std::slice::from_raw_parts(bytes.cast(), len) }),
    }
}

/// Converts a number of election_recipe_t.
pub fn recipe(number: c_int) -> Option<Recipe> {
    let recipes = [
        (election_recipe_t::ELECTION_RECIPE_NODE, Recipe::Node),
        (election_recipe_t::ELECTION_RECIPE_QUEUE, Recipe::Queue(Dialect::CuratorLatch)),
        (election_recipe_t::ELECTION_RECIPE_QUEUE_CURATOR_LOCK, Recipe::Queue(Dialect::CuratorLock)),
        (election_recipe_t::ELECTION_RECIPE_QUEUE_KAZOO, Recipe::Queue(Dialect::Kazoo)),
        (
            election_recipe_t::ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT,
            Recipe::Queue(Dialect::LeaderElectionSupport),
        ),
        (election_recipe_t::ELECTION_RECIPE_QUEUE_W, Recipe::Queue(Dialect::Seed)),
        (election_recipe_t::ELECTION_RECIPE_QUEUE_WRITE_LOCK, Recipe::Queue(Dialect::WriteLock)),
    ];
    recipes.into_iter().find(|(c, _)| *c as c_int == number).map(|(_, recipe)| recipe)
}

/// Converts a number of election_lease_mode_t.
pub fn lease_mode(number: c_int) -> Option<LeaseMode> {
    let modes = [
        (election_lease_mode_t::ELECTION_LEASE_COMMITTED, LeaseMode::Committed),
        (election_lease_mode_t::ELECTION_LEASE_ANSWERED, LeaseMode::Answered),
    ];
    modes.into_iter().find(|(c, _)| *c as c_int == number).map(|(_, lease_mode)| lease_mode)
}

/// Converts a number of election_dispatch_t.
pub fn dispatch(number: c_int) -> Option<Dispatch> {
    let ways = [
        (election_dispatch_t::ELECTION_DISPATCH_THREAD, Dispatch::Thread),
        (election_dispatch_t::ELECTION_DISPATCH_MANUAL, Dispatch::Manual),
        (election_dispatch_t::ELECTION_DISPATCH_LOOP, Dispatch::Loop),
    ];
    ways.into_iter().find(|(c, _)| *c as c_int == number).map(|(_, dispatch)| dispatch)
}

/// Converts a number of election_acl_t.
pub fn acl(number: c_int) -> Option<Acl> {
    let acls = [
        (election_acl_t::ELECTION_ACL_OPEN, Acl::Open),
        (election_acl_t::ELECTION_ACL_CREATOR, Acl::Creator),
        (election_acl_t::ELECTION_ACL_CREATOR_WORLD_READ, Acl::CreatorWorldRead),
    ];
    acls.into_iter().find(|(c, _)| *c as c_int == number).map(|(_, acl)| acl)
}

/// Converts a number of election_role_t.
pub fn role(number: c_int) -> Option<Role> {
    [Role::Unknown, Role::Slave, Role::Master].into_iter().find(|role| c_role(*role) as c_int == number)
}

fn c_role(role: Role) -> election_role_t {
    match role {
        Role::Unknown => election_role_t::ELECTION_UNKNOWN,
        Role::Slave => election_role_t::ELECTION_SLAVE,
        Role::Master => election_role_t::ELECTION_MASTER,
    }
}

/// Converts a data version; -1 means any version.
pub fn version(version: c_int) -> Option<i32> {
    (version != -1).then_some(version)
}

/// Converts a time that may be 0.
pub fn milliseconds(ms: c_int) -> Result<Duration, Error> {
    u64::try_from(ms).map(Duration::from_millis).map_err(|_| bad_time(ms))
}

/// Converts a time to wait that is not 0; it may be ELECTION_FOREVER.
pub fn timeout_or_forever(timeout_ms: c_int) -> Result<Duration, Error> {
    match timeout_ms {
        ELECTION_FOREVER => Ok(Duration::MAX),
        timeout_ms => timeout(timeout_ms),
    }
}

/// Converts a time to wait that is not 0.
pub fn timeout(timeout_ms: c_int) -> Result<Duration, Error> {
    match u64::try_from(timeout_ms) {
        Ok(ms @ 1..=3_600_000) => Ok(Duration::from_millis(ms)),
        _ => Err(bad_time(timeout_ms)),
    }
}

fn bad_time(ms: c_int) -> Error {
    Error::BadTimeout.because(format!("a time of {ms} ms is out of range"))
}

/// A function of the caller with its ctx. Dropping this frees the ctx.
pub struct Callback<F> {
    function: Option<F>,
    ctx: *mut c_void,
    free_ctx: election_free_fn,
}

// SAFETY: the header says that callbacks run on a thread of the library. The library only passes the ctx on.
unsafe impl<F: Send> Send for Callback<F> {}

impl<F: Copy> Callback<F> {
    pub fn new(function: Option<F>, ctx: *mut c_void, free_ctx: election_free_fn) -> Callback<F> {
        Callback { function, ctx, free_ctx }
    }

    pub fn call(&self, call: impl FnOnce(F, *mut c_void)) {
        if let Some(function) = self.function {
            outside(|| call(function, self.ctx));
        }
    }
}

impl<F> Drop for Callback<F> {
    fn drop(&mut self) {
        if let Some(free_ctx) = self.free_ctx {
            // SAFETY: the caller gave `free_ctx` and `ctx` together, and this is the only call.
            outside(|| unsafe { free_ctx(self.ctx) });
        }
    }
}

/// The path of an election as a C string, and the memory for the values.
struct CStrings {
    path: CString,
    value: Vec<u8>,
}

impl CStrings {
    fn new(path: &str) -> CStrings {
        // An accepted path contains no 0 byte.
        CStrings { path: CString::new(path).unwrap_or_default(), value: Vec::new() }
    }

    /// Copies the value, with a 0 byte after it.
    fn value(&mut self, value: &[u8]) -> *const c_char {
        self.value.clear();
        self.value.extend_from_slice(value);
        self.value.push(0);
        self.value.as_ptr().cast()
    }
}

/// Converts the events of one candidate for C.
pub struct CEvent(CStrings);

impl CEvent {
    pub fn new(path: &str) -> CEvent {
        CEvent(CStrings::new(path))
    }

    pub fn with(&mut self, event: &Event, show: impl FnOnce(*const election_event_t)) {
        let c = election_event_t {
            size: size_of::<election_event_t>(),
            path: self.0.path.as_ptr(),
            role: c_role(event.role),
            reason: match event.reason {
                Reason::Elected => election_reason_t::ELECTION_REASON_ELECTED,
                Reason::Following => election_reason_t::ELECTION_REASON_FOLLOWING,
                Reason::Suspended => election_reason_t::ELECTION_REASON_SUSPENDED,
                Reason::Expired => election_reason_t::ELECTION_REASON_EXPIRED,
                Reason::Deleted => election_reason_t::ELECTION_REASON_DELETED,
                Reason::Refused => election_reason_t::ELECTION_REASON_REFUSED,
                Reason::Denied => election_reason_t::ELECTION_REASON_DENIED,
                Reason::Blocked => election_reason_t::ELECTION_REASON_BLOCKED,
                Reason::Resigned => election_reason_t::ELECTION_REASON_RESIGNED,
                Reason::Closed => election_reason_t::ELECTION_REASON_CLOSED,
                Reason::LeaseExpired => election_reason_t::ELECTION_REASON_LEASE_EXPIRED,
                Reason::Grace => election_reason_t::ELECTION_REASON_GRACE,
                Reason::ForeignContender => election_reason_t::ELECTION_REASON_FOREIGN_CONTENDER,
                Reason::Failed => election_reason_t::ELECTION_REASON_FAILED,
            },
            rc: event.rc,
            value: self.0.value(&event.value),
            value_len: event.value.len(),
            token: event.token,
        };
        show(&c);
    }
}

/// Converts the events of a watcher of the master for C.
pub struct CMaster(CStrings);

impl CMaster {
    pub fn new(path: &str) -> CMaster {
        CMaster(CStrings::new(path))
    }

    pub fn with(&mut self, master: &Master, show: impl FnOnce(*const election_master_t)) {
        let stat = &master.stat;
        let c = election_master_t {
            size: size_of::<election_master_t>(),
            path: self.0.path.as_ptr(),
            rc: master.rc,
            value: self.0.value(&master.value),
            value_len: master.value.len(),
            token: stat.czxid,
            session_id: if stat.is_ephemeral() { stat.ephemeral_owner } else { 0 },
            since_ms: stat.ctime_ms,
        };
        show(&c);
    }
}

/// One member as C sees it, and the memory that it points to.
struct CMember {
    _strings: CStrings,
    c: election_member_t,
}

impl CMember {
    fn new(member: &Member) -> CMember {
        let mut strings = CStrings::new(&member.name);
        let stat = &member.znode.stat;
        let c = election_member_t {
            size: size_of::<election_member_t>(),
            value: strings.value(&member.znode.value),
            value_len: member.znode.value.len(),
            name: strings.path.as_ptr(),
            token: stat.czxid,
            session_id: if stat.is_ephemeral() { stat.ephemeral_owner } else { 0 },
            since_ms: stat.ctime_ms,
        };
        CMember { _strings: strings, c }
    }
}

/// Converts one member for C.
pub fn show_member(member: &Member, show: impl FnOnce(*const election_member_t)) {
    let member = CMember::new(member);
    show(&member.c);
}

/// Converts the events of a watcher of members for C.
pub struct CMembers(CStrings);

impl CMembers {
    pub fn new(path: &str) -> CMembers {
        CMembers(CStrings::new(path))
    }

    pub fn with(&self, members: &Members, show: impl FnOnce(*const election_members_t)) {
        let each: Vec<CMember> = members.members.iter().map(CMember::new).collect();
        let pointers: Vec<*const election_member_t> =
            each.iter().map(|member| &member.c as *const _).chain([std::ptr::null()]).collect();
        let c = election_members_t {
            size: size_of::<election_members_t>(),
            path: self.0.path.as_ptr(),
            rc: members.rc,
            members: pointers.as_ptr(),
            count: each.len(),
            alarm: match members.alarm {
                Alarm::None => election_alarm_t::ELECTION_ALARM_NONE,
                Alarm::TooFew => election_alarm_t::ELECTION_ALARM_TOO_FEW,
                Alarm::Enough => election_alarm_t::ELECTION_ALARM_ENOUGH,
            },
        };
        show(&c);
    }
}
