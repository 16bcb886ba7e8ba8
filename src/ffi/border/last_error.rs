//! What election_explain says: of each thread, the last call that failed.

use std::cell::Cell;
use std::ffi::{c_char, CString};

use super::strerror;
use crate::handle::{take_detail, Error};

thread_local! {
    static LAST: Cell<Option<(i32, Option<CString>)>> = const { Cell::new(None) };
    /// What was wrong with a text of the call that is under way.
    static BAD_TEXT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A call begins: what is left of former ones does not belong to it.
pub fn begin() {
    take_detail();
    let _ = BAD_TEXT.try_with(Cell::take);
}

/// A text of the call is NULL, or not UTF-8.
pub fn bad_text(fault: &'static str) {
    let _ = BAD_TEXT.try_with(|bad| bad.set(Some(fault)));
}

/// The call failed.
pub fn failed(error: Error) {
    let detail = take_detail().filter(|(of, _)| *of == error).map(|(_, sentence)| sentence);
    let bad_text = BAD_TEXT.try_with(Cell::take).ok().flatten();
    let of_text = |fault| Some(format!("{} {fault}", text_of(error)?));
    // A 0 byte, if there is one, is what the caller gave.
    let text = detail.or(bad_text.and_then(of_text)).and_then(|text| CString::new(text.replace('\0', "\\0")).ok());
    let _ = LAST.try_with(|last| last.set(Some((error.code(), text))));
}

/// The sentence of that call, if it has failed with this number.
pub fn text(rc: i32) -> *const c_char {
    let last = LAST.try_with(Cell::take).ok().flatten();
    let sentence = last.as_ref().filter(|(code, _)| *code == rc).and_then(|(_, sentence)| sentence.as_deref());
    // What it points to stays where it is.
    let text = sentence.unwrap_or_else(|| strerror(rc)).as_ptr();
    let _ = LAST.try_with(|kept| kept.set(last));
    text
}

/// The text whose fault this error tells of.
fn text_of(error: Error) -> Option<&'static str> {
    match error {
        Error::BadHosts => Some("the connect string"),
        Error::BadPath => Some("the path"),
        Error::BadAuth => Some("the scheme of the credential"),
        Error::BadAcl => Some("the entry of the access control list"),
        _ => None,
    }
}
