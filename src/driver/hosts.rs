//! Parses the connect string, `host:port,host:port,.../chroot`, and checks paths. An error is a sentence that names the
//! faulty part and says what is wrong with it.
//!
//! An accepted connect string has the same meaning as in ZooKeeper's own clients in C (`resolve_hosts` in zookeeper.c)
//! and in Java (`ConnectStringParser`). If those clients would misread a mistake, it is refused here. Both clients take
//! everything after the first slash as the chroot, even in `a:2181/app,b:2181`. The C client reads a port that begins
//! with 0 as an octal number, and an address such as 010.0.0.1 likewise. Both take the last group of an IPv6 address
//! without brackets as the port.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const DEFAULT_PORT: u16 = 2181;

/// The maximum length of a name and of each of its labels (RFC 1035).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// IFNAMSIZ, without the 0 byte.
const INTERFACE_MAX: usize = 15;

/// The maximum number of characters of a part that an error message repeats.
const SHOWN: usize = 80;

/// A valid connect string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    pub servers: Vec<Server>,
    /// Empty, or a path.
    pub chroot: String,
}

/// One server of a connect string. The host is a name, or an address without brackets, which may have a scope id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

impl Server {
    /// The address. `None` if the host is a name or has a scope id, because only the system can look these up.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// `host:port,host:port,...`, without the chroot.
impl fmt::Display for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, server) in self.servers.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{server}")?;
        }
        Ok(())
    }
}

/// Parses a connect string.
pub fn parse(text: &str) -> Result<Hosts, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the connect string is empty".to_owned());
    }
    if let Some((scheme, _)) = text.split_once("://") {
        return Err(format!(
            "{} has no place in a connect string: write host:port",
            shown(&format!("{scheme}://"))
        ));
    }
    let (list, chroot) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    if chroot.contains(',') {
        let chroot = shown(chroot);
        return Err(format!("{chroot} has a comma: a connect string has one chroot, after the last host"));
    }
    let chroot = if chroot == "/" { "" } else { chroot };
    if let Some(fault) = Some(chroot).filter(|chroot| !chroot.is_empty()).and_then(path_fault) {
        return Err(format!("the chroot {} {fault}", shown(chroot)));
    }
    let list = list.trim_end();
    let parts: Vec<&str> = list.strip_suffix(',').unwrap_or(list).split(',').map(str::trim).collect();
    if parts == [""] {
        return Err(format!("{} names no host", shown(text)));
    }
    let mut servers = Vec::with_capacity(parts.len());
    for (i, part) in parts.iter().enumerate() {
        servers.push(server(part).map_err(|fault| match part.is_empty() {
            true => format!("host {} of {} is missing: two commas follow each other", i + 1, parts.len()),
            false => format!("host {} of {}, {}, {fault}", i + 1, parts.len(), shown(part)),
        })?);
    }
    Ok(Hosts { servers, chroot: chroot.to_owned() })
}

/// Parses one server. The error is the rest of a sentence about the server.
fn server(text: &str) -> Result<Server, String> {
    if text.chars().any(|c| c.is_whitespace() || c == ';') {
        return Err("has a blank or a semicolon in it: hosts are separated by commas".to_owned());
    }
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or("has no closing bracket")?;
        if !is_ipv6(address) {
            return Err("has no IPv6 address in its brackets".to_owned());
        }
        match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None if rest.is_empty() => (address, None),
            None => return Err("has something other than :port after the bracket".to_owned()),
        }
    } else if is_ipv6(text) {
        bare_ipv6(text)?
    } else {
        match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if !is_ipv6(host) {
        if let Some(fault) = name_fault(host) {
            return Err(fault);
        }
    }
    Ok(Server { host: host.to_owned(), port: port.map_or(Ok(DEFAULT_PORT), read_port)? })
}

/// An address without brackets has no port. If the text can also be read as address and port, it is refused as
/// ambiguous.
fn bare_ipv6(text: &str) -> Result<(&str, Option<&str>), String> {
    let (before, last) = text.rsplit_once(':').unwrap_or_default();
    if text.contains('%') || !is_ipv6(before) || last.len() < 3 || read_port(last).is_err() {
        return Ok((text, None));
    }
    Err(format!("is ambiguous: write [{before}]:{last} if {last} is the port, else [{text}]"))
}

fn is_ipv6(text: &str) -> bool {
    let (address, scope) = match text.split_once('%') {
        Some((address, scope)) => (address, Some(scope)),
        None => (text, None),
    };
    let is_scope = |scope: &str| {
        let allowed = |b: u8| b.is_ascii_graphic() && !b"%/:[],".contains(&b);
        (1..=INTERFACE_MAX).contains(&scope.len()) && scope.bytes().all(allowed)
    };
    address.parse::<Ipv6Addr>().is_ok() && scope.is_none_or(is_scope)
}

fn read_port(digits: &str) -> Result<u16, String> {
    let number = digits.parse::<u16>().ok().filter(|port| *port > 0);
    match number {
        _ if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.is_empty() => {
            Err("has no number after its last colon, where the port stands".to_owned())
        }
        Some(_) if digits.starts_with('0') => {
            Err("has a port that begins with 0, which clients in C read as an octal number".to_owned())
        }
        Some(port) => Ok(port),
        None => Err("has a port that is not in 1 to 65535".to_owned()),
    }
}

/// Returns why `name` is neither a host name nor an IPv4 address.
fn name_fault(name: &str) -> Option<String> {
    let labels = name.strip_suffix('.').unwrap_or(name);
    let numeric = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_digit());
    let fault = if name.is_empty() {
        "has no host name before the colon"
    } else if name.contains(':') {
        "has two colons, and is no IPv6 address"
    } else if !name.is_ascii() {
        "is no host name: names in other scripts are written as xn--..."
    } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        "is no host name: they are of letters, digits, - and _, with dots between"
    } else if labels.len() > NAME_MAX {
        "is too long for a host name"
    } else if labels.split('.').any(|label| label.is_empty() || label.len() > LABEL_MAX) {
        "is no host name: one of its parts is empty or too long"
    } else if labels.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
        "is no host name: one of its parts begins or ends with -"
    } else if labels.rsplit('.').next().is_some_and(numeric) && name.parse::<Ipv4Addr>().is_err() {
        "is no IPv4 address: those are four numbers up to 255, without zeros in front"
    } else {
        return None;
    };
    Some(fault.to_owned())
}

/// Returns what is wrong with the path of a znode, as the rest of a sentence about the path. ZooKeeper accepts the
/// paths that `PathUtils.validatePath` in its source accepts. That method sees characters above U+FFFF as surrogates,
/// and refuses those.
pub fn path_fault(path: &str) -> Option<String> {
    let allowed =
        |c: &char| !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let Some(rest) = path.strip_prefix('/') else {
        return Some(if path.is_empty() { "is empty" } else { "does not begin with /" }.to_owned());
    };
    if rest.is_empty() {
        return Some("is the root, which is no path of an election".to_owned());
    }
    if let Some(c) = rest.chars().find(|c| !allowed(c)) {
        return Some(format!("has U+{:04X}, which ZooKeeper does not take", c as u32));
    }
    match rest.split('/').find(|name| matches!(*name, "" | "." | "..")) {
        Some("") if path.ends_with('/') => Some("ends with /".to_owned()),
        Some("") => Some("has // in it".to_owned()),
        Some(name) => Some(format!("has {name} as one of its names")),
        None => None,
    }
}

/// Formats a part of the caller's text: in quotes, on one line, and shortened if it is long.
pub fn shown(part: &str) -> String {
    let end = part.char_indices().nth(SHOWN).map_or(part.len(), |(at, _)| at);
    let dots = if end < part.len() { "..." } else { "" };
    let line: String = part[..end].chars().flat_map(|c| c.escape_debug()).collect();
    // Quotes need no escape here.
    format!("\"{}{dots}\"", line.replace("\\\"", "\"").replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The servers and the chroot, as text.
    fn taken(text: &str) -> (String, String) {
        match parse(text) {
            Ok(hosts) => (hosts.to_string(), hosts.chroot),
            Err(fault) => panic!("{text:?}: {fault}"),
        }
    }

    #[test]
    fn what_people_write_is_taken() {
        for (text, servers, chroot) in [
            ("localhost", "localhost:2181", ""),
            ("10.0.0.1:2181", "10.0.0.1:2181", ""),
            ("a:1,b,c:65535", "a:1,b:2181,c:65535", ""),
            ("a:2181/", "a:2181", ""),
            ("a:2181,b:2181/app/one", "a:2181,b:2181", "/app/one"),
            (" a:1 , b:2 ", "a:1,b:2", ""),
            ("a:1,\tb:2", "a:1,b:2", ""),
            ("a:1,b:2,", "a:1,b:2", ""),
            ("a:1,b:2\n", "a:1,b:2", ""),
            ("a:1,b:2 , \r\n", "a:1,b:2", ""),
            ("a:1,/app", "a:1", "/app"),
            ("a:1 /app\n", "a:1", "/app"),
            ("a:1/app one", "a:1", "/app one"),
            ("[::1]", "[::1]:2181", ""),
            ("[::1]:2181,[fe80::2]:2182/x", "[::1]:2181,[fe80::2]:2182", "/x"),
            ("::1", "[::1]:2181", ""),
            ("2001:db8::2", "[2001:db8::2]:2181", ""),
            ("2001:db8::1234", "[2001:db8::1234]:2181", ""),
            ("2001:db8:0:0:0:0:0:2:2182", "[2001:db8:0:0:0:0:0:2]:2182", ""),
            ("fe80::1%eth0", "[fe80::1%eth0]:2181", ""),
            ("fe80::1%eth0:2182", "[fe80::1%eth0]:2182", ""),
            ("[fe80::1%2]:2182,a", "[fe80::1%2]:2182,a:2181", ""),
            ("::ffff:10.0.0.1", "[::ffff:10.0.0.1]:2181", ""),
            ("zk-1.example.com.:2181", "zk-1.example.com.:2181", ""),
            ("my_zookeeper_1:2181", "my_zookeeper_1:2181", ""),
            ("3com.com,xn--zrich-kva.ch", "3com.com:2181,xn--zrich-kva.ch:2181", ""),
        ] {
            assert_eq!(taken(text), (servers.to_owned(), chroot.to_owned()), "{text:?}");
        }
    }

    /// Each text, with the part that the error names and the fault that it states.
    #[test]
    fn what_means_something_else_or_nothing_is_refused() {
        let long_label = format!("{}.org", "a".repeat(64));
        for (text, part, fault) in [
            ("", "", "is empty"),
            (" \n", "", "is empty"),
            (",", "\",\"", "names no host"),
            ("/x", "\"/x\"", "names no host"),
            (",a", "host 1 of 2", "is missing"),
            ("a,,b", "host 2 of 3", "is missing"),
            ("a,,", "host 2 of 2", "is missing"),
            // ZooKeeper's clients read one server and the chroot /app,b:2181.
            ("a:2181/app,b:2181/app", "\"/app,b:2181/app\"", "one chroot, after the last host"),
            ("a:2181/app,b:2181", "\"/app,b:2181\"", "one chroot, after the last host"),
            ("a:1;b:2", "host 1 of 1, \"a:1;b:2\"", "separated by commas"),
            ("c,a:1 b:2", "host 2 of 2, \"a:1 b:2\"", "separated by commas"),
            ("a:1\nb:2", "\"a:1\\nb:2\"", "separated by commas"),
            ("tcp://a:1", "\"tcp://\"", "write host:port"),
            ("a:1,https://b", "\"a:1,https://\"", "write host:port"),
            ("a:", "\"a:\"", "where the port stands"),
            ("a:x", "\"a:x\"", "where the port stands"),
            ("a:+1", "\"a:+1\"", "where the port stands"),
            ("a:0x10", "\"a:0x10\"", "where the port stands"),
            ("a:0", "\"a:0\"", "1 to 65535"),
            ("a:65536", "\"a:65536\"", "1 to 65535"),
            ("a:010", "\"a:010\"", "octal"),
            ("a:1:2", "\"a:1:2\"", "two colons"),
            (":2181", "\":2181\"", "no host name before the colon"),
            ("user@a:1", "\"user@a:1\"", "letters, digits"),
            ("a|b", "\"a|b\"", "letters, digits"),
            ("${ZK}:2181", "\"${ZK}:2181\"", "letters, digits"),
            ("z\u{fc}rich.ch", "\"z\u{fc}rich.ch\"", "xn--"),
            ("a..b", "\"a..b\"", "empty or too long"),
            (".a", "\".a\"", "empty or too long"),
            (&long_label, "aaaa.org\"", "empty or too long"),
            ("-a:1", "\"-a:1\"", "begins or ends with -"),
            ("10.0.0.256", "\"10.0.0.256\"", "no IPv4 address"),
            ("10.0.0", "\"10.0.0\"", "no IPv4 address"),
            // A client in C reads 8.0.0.1.
            ("010.0.0.1:2181", "\"010.0.0.1:2181\"", "no IPv4 address"),
            ("2181", "\"2181\"", "no IPv4 address"),
            // ZooKeeper's clients read ::1, port 2181.
            ("::1:2181", "\"::1:2181\"", "write [::1]:2181"),
            ("fe80::2:2181", "\"fe80::2:2181\"", "else [fe80::2:2181]"),
            ("[::1", "\"[::1\"", "no closing bracket"),
            ("[::1]2181", "\"[::1]2181\"", "after the bracket"),
            ("[]:1", "\"[]:1\"", "no IPv6 address in its brackets"),
            ("[a]:1", "\"[a]:1\"", "no IPv6 address in its brackets"),
            ("[fe80::1%]:1", "\"[fe80::1%]:1\"", "no IPv6 address in its brackets"),
            ("[fe80::1%an-interface-name]:1", "\"[fe80::1%an-", "no IPv6 address in its brackets"),
            ("a:1/x/", "the chroot \"/x/\"", "ends with /"),
            ("a:1//", "the chroot \"//\"", "ends with /"),
            ("a:1/./x", "the chroot \"/./x\"", "has . as one of its names"),
            ("a:1/x\u{7}", "the chroot \"/x\\u{7}\"", "U+0007"),
        ] {
            let said = parse(text).expect_err(text);
            assert!(said.contains(part) && said.contains(fault) && !said.contains('\n'), "{text:?}: {said}");
        }
        let said = parse(&"a,".repeat(2000).replace("a,a,a", "a,\u{0}a,a")).expect_err("a 0 byte is no name");
        assert!(said.len() < 300, "{said}");
    }

    #[test]
    fn paths() {
        for path in ["/a", "/a/b", "/\u{4e3b}", "/a.b", "/...", "/a b"] {
            assert_eq!(path_fault(path), None, "{path}");
        }
        for (path, fault) in [
            ("", "is empty"),
            ("/", "is the root"),
            ("a", "does not begin with /"),
            ("/a/", "ends with /"),
            ("//a", "has //"),
            ("/a//b", "has //"),
            ("/.", "has . as"),
            ("/a/..", "has .. as"),
            ("/a/./b", "has . as"),
            ("/a\n", "U+000A"),
            ("/\u{7f}", "U+007F"),
            ("/\u{f000}", "U+F000"),
            ("/\u{1f600}", "U+1F600"),
        ] {
            let said = path_fault(path).unwrap_or_default();
            assert!(said.contains(fault), "{path:?}: {said}");
        }
    }
}
