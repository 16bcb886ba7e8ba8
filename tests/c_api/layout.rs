//! Sizes, offsets and numbers: a C program that is made from the header and the Rust types that the library is built
//! from must say the same.

use std::collections::BTreeMap;
use std::mem::{align_of, offset_of, size_of};
use std::process::Command;

use election::testing::ffi::*;

use crate::header::Header;
use crate::library::{Link, Workshop};
use crate::tools;

pub type Figures = BTreeMap<String, i64>;

/// A struct's size, alignment and offsets.
macro_rules! figures_of_struct {
    ($figures:ident, $name:ident, $($field:ident),+) => {
        $figures.insert(concat!("sizeof ", stringify!($name)).into(), size_of::<$name>() as i64);
        $figures.insert(concat!("alignof ", stringify!($name)).into(), align_of::<$name>() as i64);
        $($figures.insert(
            concat!("offsetof ", stringify!($name), ".", stringify!($field)).into(),
            offset_of!($name, $field) as i64,
        );
        $figures.insert(
            concat!("sizeof ", stringify!($name), ".", stringify!($field)).into(),
            size_of_field(|of: *const $name| unsafe { &raw const (*of).$field }) as i64,
        );)+
    };
}

/// The size of what a function from a struct to its field points to.
fn size_of_field<S, F>(_: impl Fn(*const S) -> *const F) -> usize {
    size_of::<F>()
}

macro_rules! figures_of_enum {
    ($figures:ident, $name:ident, $($constant:ident),+) => {
        $figures.insert(concat!("sizeof ", stringify!($name)).into(), size_of::<$name>() as i64);
        $($figures.insert(stringify!($constant).into(), $name::$constant as i64);)+
    };
}

/// What Rust says. Whatever the header has and this list has not is a difference.
fn figures_of_rust() -> Figures {
    let mut figures = Figures::new();
    figures_of_struct!(figures, election_event_t, size, path, role, reason, rc, value, value_len, token);
    figures_of_struct!(figures, election_master_t, size, path, rc, value, value_len, token, session_id, since_ms);
    figures_of_struct!(figures, election_member_t, size, name, value, value_len, token, session_id, since_ms);
    figures_of_struct!(figures, election_members_t, size, path, rc, members, count, alarm);
    figures_of_struct!(figures, election_log_t, size, level, message, path, handle, session_id, at_ms);
    figures_of_struct!(figures, election_connection_t, size, state, rc, session_id, session_timeout_ms, cause);
    figures_of_struct!(
        figures,
        election_counters_t,
        size,
        connections,
        connect_failures,
        suspensions,
        sessions_opened,
        sessions_expired,
        sessions_renewed,
        requests_sent,
        requests_answered,
        requests_unknown,
        creates,
        deletes,
        sets,
        reads,
        touches,
        proofs_sent,
        proofs_committed,
        proof_last_us,
        proof_longest_us,
        fenced_writes,
        watches_fired,
        masterships_begun,
        masterships_ended,
        leases_expired,
        callbacks_run,
        callback_longest_us
    );
    figures_of_enum!(
        figures,
        election_log_level_t,
        ELECTION_LOG_OFF,
        ELECTION_LOG_ERROR,
        ELECTION_LOG_WARN,
        ELECTION_LOG_INFO,
        ELECTION_LOG_DEBUG
    );
    figures_of_enum!(
        figures,
        election_connection_state_t,
        ELECTION_CONNECTING,
        ELECTION_CONNECTED,
        ELECTION_SUSPENDED,
        ELECTION_EXPIRED,
        ELECTION_CLOSED
    );
    figures_of_enum!(figures, election_dump_format_t, ELECTION_DUMP_TEXT, ELECTION_DUMP_JSON);
    figures_of_enum!(figures, election_role_t, ELECTION_UNKNOWN, ELECTION_SLAVE, ELECTION_MASTER);
    figures_of_enum!(
        figures,
        election_reason_t,
        ELECTION_REASON_ELECTED,
        ELECTION_REASON_FOLLOWING,
        ELECTION_REASON_SUSPENDED,
        ELECTION_REASON_EXPIRED,
        ELECTION_REASON_DELETED,
        ELECTION_REASON_REFUSED,
        ELECTION_REASON_BLOCKED,
        ELECTION_REASON_RESIGNED,
        ELECTION_REASON_CLOSED,
        ELECTION_REASON_FAILED,
        ELECTION_REASON_LEASE_EXPIRED,
        ELECTION_REASON_GRACE,
        ELECTION_REASON_FOREIGN_CONTENDER,
        ELECTION_REASON_DENIED
    );
    figures_of_enum!(
        figures,
        election_rc_t,
        ELECTION_OK,
        ELECTION_CONNECTIONLOSS,
        ELECTION_UNIMPLEMENTED,
        ELECTION_OPERATIONTIMEOUT,
        ELECTION_BADARGUMENTS,
        ELECTION_NONODE,
        ELECTION_NOAUTH,
        ELECTION_BADVERSION,
        ELECTION_NOCHILDRENFOREPHEMERALS,
        ELECTION_NODEEXISTS,
        ELECTION_NOTEMPTY,
        ELECTION_SESSIONEXPIRED,
        ELECTION_INVALIDACL,
        ELECTION_AUTHFAILED,
        ELECTION_CLOSING,
        ELECTION_QUOTAEXCEEDED,
        ELECTION_THROTTLEDOP,
        ELECTION_BAD_HANDLE,
        ELECTION_BAD_HOSTS,
        ELECTION_BAD_OPTIONS,
        ELECTION_BAD_TIMEOUT,
        ELECTION_BAD_PATH,
        ELECTION_BAD_VALUE,
        ELECTION_BAD_CALLBACK,
        ELECTION_BAD_RESULT,
        ELECTION_BAD_RECIPE,
        ELECTION_ALREADY,
        ELECTION_NOT_THERE,
        ELECTION_IN_CALLBACK,
        ELECTION_NOT_EPHEMERAL,
        ELECTION_RESIGNED,
        ELECTION_NO_RESOURCES,
        ELECTION_INTERNAL,
        ELECTION_LEASE_EXPIRED,
        ELECTION_GRACE,
        ELECTION_FOREIGN_CONTENDER,
        ELECTION_NOT_MASTER,
        ELECTION_STALE_TOKEN,
        ELECTION_BAD_LEASE_MODE,
        ELECTION_FORKED,
        ELECTION_NOT_MANUAL,
        ELECTION_BAD_ROLE,
        ELECTION_BAD_DISPATCH,
        ELECTION_BAD_VERIFIER,
        ELECTION_BAD_COUNT,
        ELECTION_BAD_SIZE,
        ELECTION_BAD_FORMAT,
        ELECTION_BAD_LEVEL,
        ELECTION_BAD_FRAME_LIMIT,
        ELECTION_BAD_AUTH,
        ELECTION_BAD_ACL,
        ELECTION_BAD_TLS,
        ELECTION_BAD_SASL,
        ELECTION_INTERRUPTED,
        ELECTION_LEADERSHIP_LOST,
        ELECTION_BAD_LEADERSHIP,
        ELECTION_DEADLOCK,
        ELECTION_IN_HANDLER
    );
    figures_of_enum!(
        figures,
        election_recipe_t,
        ELECTION_RECIPE_NODE,
        ELECTION_RECIPE_QUEUE,
        ELECTION_RECIPE_QUEUE_CURATOR_LOCK,
        ELECTION_RECIPE_QUEUE_KAZOO,
        ELECTION_RECIPE_QUEUE_LEADER_ELECTION_SUPPORT,
        ELECTION_RECIPE_QUEUE_W,
        ELECTION_RECIPE_QUEUE_WRITE_LOCK
    );
    figures_of_enum!(figures, election_lease_mode_t, ELECTION_LEASE_COMMITTED, ELECTION_LEASE_ANSWERED);
    figures_of_enum!(figures, election_alarm_t, ELECTION_ALARM_NONE, ELECTION_ALARM_TOO_FEW, ELECTION_ALARM_ENOUGH);
    figures_of_enum!(
        figures,
        election_dispatch_t,
        ELECTION_DISPATCH_THREAD,
        ELECTION_DISPATCH_MANUAL,
        ELECTION_DISPATCH_LOOP
    );
    figures_of_enum!(
        figures,
        election_acl_t,
        ELECTION_ACL_OPEN,
        ELECTION_ACL_CREATOR,
        ELECTION_ACL_CREATOR_WORLD_READ
    );
    figures_of_enum!(
        figures,
        election_perm_t,
        ELECTION_PERM_READ,
        ELECTION_PERM_WRITE,
        ELECTION_PERM_CREATE,
        ELECTION_PERM_DELETE,
        ELECTION_PERM_ADMIN,
        ELECTION_PERM_ALL
    );
    figures.insert("ELECTION_PATH_MAX".into(), ELECTION_PATH_MAX as i64);
    figures.insert("ELECTION_FOREVER".into(), ELECTION_FOREVER as i64);
    figures.insert("ELECTION_VALUE_MAX".into(), ELECTION_VALUE_MAX as i64);
    figures
}

/// A C program that prints the same of everything that the header has.
fn program_of_header(header: &Header) -> String {
    let mut lines = Vec::new();
    let mut figure = |name: &str, value: &str| {
        lines.push(format!("    printf(\"%s = %lld\\n\", \"{name}\", (long long)({value}));"));
    };
    for (name, fields) in header.structs() {
        figure(&format!("sizeof {name}"), &format!("sizeof({name})"));
        figure(&format!("alignof {name}"), &format!("_Alignof({name})"));
        for field in fields {
            figure(&format!("offsetof {name}.{field}"), &format!("offsetof({name}, {field})"));
            figure(&format!("sizeof {name}.{field}"), &format!("sizeof((({name} *)0)->{field})"));
        }
    }
    for name in header.enums() {
        figure(&format!("sizeof {name}"), &format!("sizeof({name})"));
    }
    for constant in header.constants() {
        figure(&constant, &constant);
    }
    for define in header.defines_of_numbers() {
        figure(&define, &define);
    }
    format!("#include \"election.h\"\n#include <stdio.h>\nint main(void) {{\n{}\n}}\n", lines.join("\n"))
}

/// What C says.
pub fn figures_of_c() -> Figures {
    let workshop = Workshop::new();
    let source = workshop.write("layout.c", &program_of_header(&Header::read()));
    let program = workshop.build("gcc", "c11", &[source], Link::Shared);
    let said = tools::run_command(Command::new(program));
    let figure = |line: &str| {
        let (name, value) = line.split_once(" = ").expect("a figure on each line");
        (name.to_owned(), value.parse().expect("a number"))
    };
    said.lines().map(figure).collect()
}

#[test]
fn c_and_rust_agree_on_every_size_offset_and_number() {
    let (c, rust) = (figures_of_c(), figures_of_rust());
    for name in c.keys().chain(rust.keys()) {
        assert_eq!(c.get(name), rust.get(name), "{name}, in C and in Rust");
    }
}
