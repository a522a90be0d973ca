//! One connection's bytes: an answer that nobody reads ends its connection, and what the HTTP
//! layer answers by itself, where it cannot make a request of what it read, gets the envelope.

use crate::envelope::unread;
use crate::limits::{LINGER, MIN_PROGRESS};
use axum::http::StatusCode;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// More than the HTTP layer's own answers have, in bytes: a status line and three short fields.
const LONGEST_OWN: usize = 256;
/// How many bytes are read away at once from a connection that is being closed.
const READ_AWAY: usize = 4_096;

/// A connection.
pub(crate) struct Wire {
    stream: TcpStream,
    patience: Duration,
    blocked: Option<Blocked>,
    instead: Option<Instead>,
    linger: Option<Pin<Box<Sleep>>>,
}

/// The peer does not take what is there for it.
struct Blocked {
    until: Pin<Box<Sleep>>,
    /// What it has taken since, in bytes.
    written: usize,
}

/// What is sent in place of an answer without a body.
struct Instead {
    bytes: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// `patience`: how long the peer may take for each [`MIN_PROGRESS`] bytes of an answer.
    pub(crate) fn new(stream: TcpStream, patience: Duration) -> Wire {
        Wire { stream, patience, blocked: None, instead: None, linger: None }
    }

    /// Sends small answers at once.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        self.stream.set_nodelay(true)
    }

    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(count)) => {
                if let Some(blocked) = &mut self.blocked {
                    blocked.written += count;
                    if blocked.written >= MIN_PROGRESS {
                        self.blocked = None;
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let patience = self.patience;
                let blocked = self.blocked.get_or_insert_with(|| Blocked {
                    until: Box::pin(sleep(patience)),
                    written: 0,
                });
                ready!(blocked.until.as_mut().poll(cx));
                let why = "the peer does not read its answer";
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, why)))
            }
        }
    }

    /// Sends the rest of what goes out in place of an answer of `length` bytes.
    fn write_instead(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(Instead { bytes, sent }) = &self.instead
            && *sent < bytes.len()
        {
            let rest = bytes[*sent..].to_vec();
            let count = ready!(self.write(cx, &rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(instead) = &mut self.instead {
                instead.sent += count;
            }
        }
        Poll::Ready(Ok(length))
    }
}

/// Where in these bytes an answer of the HTTP layer's own begins, and which. It is the last answer
/// of its connection, and the only one that ends with its head: each of ours has a body.
fn own_answer(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST_OWN);
    let begin = b"HTTP/1.1 4";
    let at = from + bytes[from..].windows(begin.len()).rposition(|window| window == begin)?;
    let head = std::str::from_utf8(&bytes[at..]).ok()?;
    let empty = head.contains("\r\ncontent-length: 0\r\n") && head.matches("\r\n\r\n").count() == 1;
    let status = StatusCode::from_bytes(head.get(9..12)?.as_bytes()).ok()?;
    empty.then_some((at, status))
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

/// Without vectored writes, so that each answer's bytes are seen in one piece.
impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.instead.is_some() {
            return this.write_instead(cx, bytes.len());
        }
        match own_answer(bytes) {
            None => this.write(cx, bytes),
            Some((0, status)) => {
                this.instead = Some(Instead { bytes: unread(status), sent: 0 });
                this.write_instead(cx, bytes.len())
            }
            Some((before, _)) => this.write(cx, &bytes[..before]),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // The HTTP layer flushes when all that it had is written.
        this.blocked = None;
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
        if this.instead.is_none() {
            return Poll::Ready(Ok(()));
        }
        // A socket that is closed with unread bytes resets the connection, and the peer may never
        // see why it was refused. So what it still sends is read away for a moment.
        let until = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut away = [0_u8; READ_AWAY];
        while until.as_mut().poll(cx).is_pending() {
            let mut into = ReadBuf::new(&mut away);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut into))?;
            if into.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
