//! The connect string: `host:port,host:port,.../chroot`.

/// A connect string that was found well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosts {
    /// Everything before the chroot.
    pub servers: String,
    /// Empty, or a path.
    pub chroot: String,
}

/// Reads a connect string. `None` for one that is malformed.
pub fn parse(text: &str) -> Option<Hosts> {
    let (servers, chroot) = match text.find('/') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let chroot = if chroot == "/" { "" } else { chroot };
    let well_formed = servers.split(',').all(is_server) && (chroot.is_empty() || is_path(chroot));
    well_formed.then(|| Hosts { servers: servers.to_string(), chroot: chroot.to_string() })
}

fn is_server(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (address, rest),
            _ => return false,
        },
        None => match text.find(':') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        },
    };
    let is_port =
        |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok_and(|n| n > 0);
    let host_ok = !host.is_empty() && !host.chars().any(|c| c.is_whitespace() || c.is_control());
    host_ok && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Whether ZooKeeper takes `path` as the path of a znode other than the root (`PathUtils.validatePath` in
/// ZooKeeper's source, which sees what lies above U+FFFF as surrogates, and refuses those).
pub fn is_path(path: &str) -> bool {
    let allowed =
        |c: char| !matches!(c, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    let is_name = |name: &str| !matches!(name, "" | "." | "..") && name.chars().all(allowed);
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_connect_strings() {
        for (text, servers, chroot) in [
            ("localhost", "localhost", ""),
            ("10.0.0.1:2181", "10.0.0.1:2181", ""),
            ("a:1,b,c:65535", "a:1,b,c:65535", ""),
            ("a:2181/", "a:2181", ""),
            ("a:2181,b:2181/app/one", "a:2181,b:2181", "/app/one"),
            ("[::1]", "[::1]", ""),
            ("[::1]:2181,[fe80::2]:2182/x", "[::1]:2181,[fe80::2]:2182", "/x"),
        ] {
            let expected = Hosts { servers: servers.to_string(), chroot: chroot.to_string() };
            assert_eq!(parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn malformed_connect_strings() {
        for text in [
            "",
            ",",
            "a,",
            ",a",
            "a,,b",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:x",
            "a:1:2",
            ":2181",
            "::1",
            "::1:2181",
            "[::1",
            "[::1]2181",
            "[]:1",
            "[a]:1",
            "a b:1",
            "a:1/x/",
            "a:1//",
            "a:1/./x",
            "tcp://a:1",
            "/x",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn paths() {
        for path in ["/a", "/a/b", "/\u{4e3b}", "/a.b", "/...", "/a b"] {
            assert!(is_path(path), "{path}");
        }
        for path in [
            "",
            "/",
            "a",
            "/a/",
            "//a",
            "/a//b",
            "/.",
            "/a/..",
            "/a/./b",
            "/a\n",
            "/\u{7f}",
            "/\u{f000}",
            "/\u{1f600}",
        ] {
            assert!(!is_path(path), "{path}");
        }
    }
}
