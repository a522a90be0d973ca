//! A connection that speaks in lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 28;

pub(super) struct Lines(BufReader<TcpStream>);

impl Lines {
    pub(super) fn connect(
        address: Ipv4Addr,
        port: u16,
        connect: Duration,
        answer: Duration,
    ) -> Result<Self, String> {
        let to = SocketAddr::from((address, port));
        let stream = TcpStream::connect_timeout(&to, connect).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(answer)).map_err(|e| e.to_string())?;
        stream.set_write_timeout(Some(answer)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Lines(BufReader::new(stream)))
    }

    /// Says something and gives the first line of the answer, without its end.
    pub(super) fn ask(&mut self, what: &str) -> Result<String, String> {
        self.0.get_mut().write_all(what.as_bytes()).map_err(|e| e.to_string())?;
        self.line()
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        (&mut self.0).take(MAX_LINE).read_line(&mut line).map_err(|e| e.to_string())?;
        // Half a line is no answer: the server may have died in the middle of it.
        let whole = line.strip_suffix('\n').ok_or("the connection ended")?;
        Ok(whole.trim_end_matches('\r').to_owned())
    }
}
