//! Where the server is: the `url` of a profile, parsed. `https` is spoken to over TLS, never in the clear.

use crate::Error;

/// Host and port of a server, and whether it is reached over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
}

impl Endpoint {
    /// The port of a URL that names none, with TLS and without: wflDB's own, not the web's.
    pub const PORT_DEFAULT: u16 = 7070;

    /// Parses `http://host[:port][/]`, or the same with `https`.
    ///
    /// # Errors
    /// `Local` for another scheme, a path, a query, user data, or a host or port that is none.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let refused = |why: &str| {
            // SECURITY: what was written into the wrong place may be a secret: a password, a key.
            let may_be_secret = url.contains('@') || url.contains("wsk1");
            let shown = if may_be_secret { "" } else { url };
            Error::Local(format!("server URL `{shown}`: {why}"))
        };
        let uri: http::Uri = url.parse().map_err(|_| refused("is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("must begin with https:// or http://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused("must not have a path or a query"));
        }
        let authority = uri.authority().ok_or_else(|| refused("names no host"))?;
        if authority.as_str().contains('@') {
            return Err(refused("must not carry user data"));
        }
        let host = authority.host();
        // The library lets brackets stand anywhere, and then takes another part for the port.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let bare = bare.unwrap_or(host);
        if bare.is_empty() || bare.contains(['[', ']']) {
            return Err(refused("names no host"));
        }
        let port = match authority.port() {
            None if authority.as_str().len() > host.len() => return Err(refused("its port is not a number")),
            None => Self::PORT_DEFAULT,
            Some(port) => port.as_u16(),
        };
        if port == 0 {
            return Err(refused("port 0 is no port"));
        }
        Ok(Self {
            secure,
            host: host.to_owned(),
            port,
        })
    }

    /// Whether it is reached over TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// `host:port`, as in the request's authority.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What the operating system resolves: an IPv6 address without its brackets.
    pub(crate) fn address(&self) -> (&str, u16) {
        let bare = self
            .host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        (bare.unwrap_or(&self.host), self.port)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}:{}", self.scheme(), self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    /// Defects it catches: a password or a key in the message, and so in a log.
    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for url in [
            "http://user:hunter2@localhost",
            "hunter2@",
            "http://wsk1hunter2/x",
            "wsk1hunter2",
        ] {
            let error = Endpoint::parse(url).unwrap_err().to_string();
            assert!(
                error.contains("server URL") && !error.contains("hunter2"),
                "{error}"
            );
        }
        let error = Endpoint::parse("ftp://localhost").unwrap_err().to_string();
        assert!(error.contains("ftp://localhost"), "{error}");
    }

    #[test]
    fn a_url_names_a_host_and_a_port_and_nothing_else() {
        for (url, host, port) in [
            ("http://127.0.0.1:7070", "127.0.0.1", 7070),
            ("http://localhost", "localhost", 7070),
            ("http://localhost/", "localhost", 7070),
            ("http://[::1]:8080", "::1", 8080),
        ] {
            let endpoint = Endpoint::parse(url).unwrap();
            assert_eq!(endpoint.address(), (host, port), "{url}");
            // A defect it catches: a URL that asks for TLS and is spoken to in the clear.
            assert!(!endpoint.is_secure(), "{url}");
            let secure = Endpoint::parse(&url.replace("http:", "https:")).unwrap();
            assert_eq!(
                (secure.address(), secure.is_secure()),
                ((host, port), true),
                "{url}"
            );
            assert_eq!(secure.to_string(), format!("https://{}", secure.authority()));
        }
        for url in [
            "",
            "localhost:7070",
            "ftp://localhost",
            "http://",
            "http://localhost/v1",
            "http://localhost?x=",
            "http://user:pw@localhost",
            "http://localhost:0",
            "http://localhost:99999",
            "http://localhost:",
            // Found by the fuzz target of profiles: another host than the one that is shown.
            "http://v[::0]:7070",
            "http://[[::1]]:7070",
            "http://[]:7070",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
