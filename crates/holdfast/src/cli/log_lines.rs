//! The server's log: one line for each entry, whatever the names and messages in it hold.

use holdfast_model::text;
use std::io::{self, Write};

/// Writes entries, each in one piece and with one end of line at its end.
pub struct LogLines<W>(pub W);

impl<W: Write> Write for LogLines<W> {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let shown = String::from_utf8_lossy(entry);
        let (line, end) = match shown.strip_suffix('\n') {
            Some(line) => (line, "\n"),
            None => (&*shown, ""),
        };
        self.0.write_all(format!("{}{end}", text::one_line(line)).as_bytes())?;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_entry_is_one_line_and_controls_no_terminal() {
        let log = Log::default();
        let written = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || LogLines(written.clone()))
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(node = "a\nb", "c\r\n2026 INFO all is well\u{1b}[2J\u{9b}\u{202e}d");
        });
        let text = log.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(!text.trim_end_matches('\n').chars().any(text::is_hidden), "{text:?}");
        assert!(text.contains("all is well"), "{text}");
    }
}
