//! ZooKeeper's request types, by the names in its own source (`ZooDefs.OpCode`).

/// The connect request, which has no type of its own on the wire. The relay gives it the type that ZooKeeper logs for
/// it.
pub const CREATE_SESSION: i32 = -10;
pub const CLOSE_SESSION: i32 = -11;
pub const NOTIFICATION: i32 = 0;
pub const CREATE: i32 = 1;
pub const DELETE: i32 = 2;
pub const EXISTS: i32 = 3;
pub const GET_DATA: i32 = 4;
pub const SET_DATA: i32 = 5;
pub const GET_ACL: i32 = 6;
pub const SET_ACL: i32 = 7;
pub const GET_CHILDREN: i32 = 8;
pub const SYNC: i32 = 9;
pub const PING: i32 = 11;
pub const GET_CHILDREN2: i32 = 12;
pub const CHECK: i32 = 13;
pub const MULTI: i32 = 14;
pub const CREATE2: i32 = 15;
pub const RECONFIG: i32 = 16;
pub const CHECK_WATCHES: i32 = 17;
pub const REMOVE_WATCHES: i32 = 18;
pub const CREATE_CONTAINER: i32 = 19;
pub const DELETE_CONTAINER: i32 = 20;
pub const CREATE_TTL: i32 = 21;
pub const MULTI_READ: i32 = 22;
pub const AUTH: i32 = 100;
pub const SET_WATCHES: i32 = 101;
pub const SASL: i32 = 102;
pub const GET_EPHEMERALS: i32 = 103;
pub const SET_WATCHES2: i32 = 105;
pub const ADD_WATCH: i32 = 106;
pub const WHO_AM_I: i32 = 107;

/// None of these.
pub const UNKNOWN: i32 = 999;

/// Whether the body of such a request begins with the path of its znode.
pub fn begins_with_path(opcode: i32) -> bool {
    matches!(
        opcode,
        CREATE
            | DELETE
            | EXISTS
            | GET_DATA
            | SET_DATA
            | GET_ACL
            | SET_ACL
            | GET_CHILDREN
            | SYNC
            | GET_CHILDREN2
            | CHECK
            | CREATE2
            | CHECK_WATCHES
            | REMOVE_WATCHES
            | CREATE_CONTAINER
            | CREATE_TTL
            | ADD_WATCH
    )
}
