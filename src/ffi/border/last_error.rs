//! The text of election_explain: for each thread, the last call that failed.

use std::cell::Cell;
use std::ffi::{c_char, CString};

use super::strerror;
use crate::handle::{take_detail, Error};

thread_local! {
    static LAST: Cell<Option<(i32, Option<CString>)>> = const { Cell::new(None) };
    /// What is wrong with a text argument of the current call.
    static BAD_TEXT: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// A call begins. This removes what earlier calls have left.
pub fn begin() {
    take_detail();
    let _ = BAD_TEXT.try_with(Cell::take);
}

/// A text argument of the call is NULL, or not UTF-8.
pub fn bad_text(fault: &'static str) {
    let _ = BAD_TEXT.try_with(|bad| bad.set(Some(fault)));
}

/// The call failed with this error. This stores its code and its sentence.
pub fn failed(error: Error) {
    let detail = take_detail().filter(|(of, _)| *of == error).map(|(_, sentence)| sentence);
    let bad_text = BAD_TEXT.try_with(Cell::take).ok().flatten();
    let of_text = |fault| Some(format!("{} {fault}", text_of(error)?));
    // If the sentence contains a 0 byte, that byte came from the caller.
    let text = detail.or(bad_text.and_then(of_text)).and_then(|text| CString::new(text.replace('\0', "\\0")).ok());
    let _ = LAST.try_with(|last| last.set(Some((error.code(), text))));
}

/// Returns the sentence of the last failed call if that call failed with this number; else the general sentence.
pub fn text(rc: i32) -> *const c_char {
    let last = LAST.try_with(Cell::take).ok().flatten();
    let sentence = last.as_ref().filter(|(code, _)| *code == rc).and_then(|(_, sentence)| sentence.as_deref());
    // The bytes that the pointer points to do not move when `last` does.
    let text = sentence.unwrap_or_else(|| strerror(rc)).as_ptr();
    let _ = LAST.try_with(|kept| kept.set(last));
    text
}

/// The name of the text argument that this error is about.
fn text_of(error: Error) -> Option<&'static str> {
    match error {
        Error::BadHosts => Some("the connect string"),
        Error::BadPath => Some("the path"),
        Error::BadAuth => Some("the scheme of the credential"),
        Error::BadAcl => Some("the entry of the access control list"),
        Error::BadTls => Some("the string for TLS"),
        Error::BadSasl => Some("the name or value of a parameter of SASL"),
        _ => None,
    }
}
