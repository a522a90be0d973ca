//! Whether a file of the host's `/etc` that everybody may read says something that only some should
//! know. A node is not one of the host's users.

/// What a value that nobody should read is called, at the end of its name.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api_key",
    "access_key",
    "private_key",
    "bindpw",
];

/// True for a private key, an address with a password in it (a proxy's, say), or a value that is
/// called a password or the like. Comments count only for keys; what is no text is none of these.
pub(crate) fn holds_secret(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    text.lines().any(|line| {
        let line = line.trim().to_ascii_lowercase();
        if line.contains("private key-----") {
            return true;
        }
        let is_comment = line.starts_with(['#', ';']);
        !is_comment && (has_address_with_password(&line) || names_a_secret(&line))
    })
}

/// `scheme://user:password@host`; a password that is a variable is none.
fn has_address_with_password(line: &str) -> bool {
    line.split("://").skip(1).any(|rest| {
        let end = rest.find(|c: char| c == '/' || c.is_whitespace() || c == '"' || c == '\'');
        let authority = &rest[..end.unwrap_or(rest.len())];
        let Some((user, _host)) = authority.rsplit_once('@') else { return false };
        user.split_once(':').is_some_and(|(_, password)| is_value(password))
    })
}

/// `name=value`, with spaces around the sign or without.
fn names_a_secret(line: &str) -> bool {
    let spaced = line.replace('=', " = ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.windows(3).any(|three| {
        let name = three[0].trim_matches(['"', '\'', '-']);
        three[1] == "=" && NAMES.iter().any(|n| name.ends_with(n)) && is_value(three[2])
    })
}

fn is_value(text: &str) -> bool {
    let text = text.trim_matches(['"', '\'', ';']);
    !text.is_empty() && !text.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_addresses_with_passwords_and_values_that_are_called_so_are_secrets() {
        for secret in [
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n",
            "export http_proxy=http://user:pass@proxy:3128/\n",
            "HTTPS_PROXY=\"https://u:p%40@proxy\"\n",
            "auth required pam_mysql.so user=root passwd=hunter2\n",
            "AWS_SECRET_ACCESS_KEY = abc\n",
            "export GITHUB_TOKEN='ghp'\n",
        ] {
            assert!(holds_secret(secret.as_bytes()), "{secret}");
        }
    }

    #[test]
    fn what_a_distribution_writes_is_no_secret() {
        for plain in [
            "-----BEGIN CERTIFICATE-----\nMII\n",
            "password [success=1 default=ignore] pam_unix.so obscure yescrypt\n",
            "passwd:         files systemd\n",
            "# http_proxy=http://user:pass@proxy\n",
            "http_proxy=http://proxy:3128/user@example\n",
            "PASSWORD=$(cat /run/secret)\npassword=\n",
            "com.sun.management.jmxremote.password.file=x\n",
        ] {
            assert!(!holds_secret(plain.as_bytes()), "{plain}");
        }
        assert!(!holds_secret(&[0xff, 0xfe, b'p']));
    }
}
