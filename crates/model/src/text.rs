//! Text of other people where it can do harm: on a terminal and in a log. There every name, tag,
//! reason and message goes through [`one_line`] or [`lines`], and nowhere else is decided what is
//! safe to print.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something else than to appear: it controls a terminal (C0, C1), ends a
/// line, changes the direction of what stands around it, or cannot be seen.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen; Arabic letter mark; zero-width characters and marks of direction.
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}'
            // Ends of lines and paragraphs; embeddings and overrides of direction.
            | '\u{2028}'..='\u{202e}'
            // Invisible joiners and operators; isolates of direction; deprecated marks.
            | '\u{2060}'..='\u{206f}'
            // The byte order mark, annotations, tags that cannot be seen.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A text as it may stand in a line: whatever is hidden is shown as an escape.
#[must_use]
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// Texts of several lines, as it may be printed: as [`one_line`], but lines still end.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| c == '\n')
}

/// JSON as it may be printed: the same document, with what is hidden in its texts in escapes of
/// JSON's own.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c == '\n' || !is_hidden(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_plain(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a text cannot fail.
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

fn escape(text: &str, keeps: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_plain = |c: char| keeps(c) || !is_hidden(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if is_plain(c) => shown.push(c),
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c => shown.extend(c.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_shown_and_what_can_be_seen_stays() {
        let plain = "größe ✓ 名前 שם";
        assert_eq!(one_line(plain), plain);
        let bad = "a\u{1b}[2Jb\r\nc\u{9b}d\u{202e}e\u{2066}f\u{200b}g\u{feff}\0\u{7f}";
        let shown =
            "a\\u{1b}[2Jb\\r\\nc\\u{9b}d\\u{202e}e\\u{2066}f\\u{200b}g\\u{feff}\\u{0}\\u{7f}";
        assert_eq!(one_line(bad), shown);
        assert_eq!(lines("a\nb\rc"), "a\nb\\rc");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({ "a\u{202e}": "b\u{9b}\u{e0041}\n" });
        let printed = serde_json::to_string_pretty(&value).unwrap();
        let safe = json(&printed);
        assert!(!safe.chars().any(|c| c != '\n' && is_hidden(c)), "{safe}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&safe).unwrap(), value);
    }
}
