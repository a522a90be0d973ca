//! Redis, in its own protocol (<https://redis.io/docs/latest/develop/reference/protocol-spec/>):
//! two commands, each with a limit on every wait, from the first byte on.

use crate::trial::journal::Acknowledge;
use crate::trial::patience::{Patience, READ_TIMEOUT};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PORT: u16 = 6379;
/// The most ids that are read back.
const MAX_IDS: usize = 100_000_000;
/// The longest line of an answer, in bytes.
const MAX_LINE: u64 = 4_096;

fn connect(
    address: Ipv4Addr,
    connect: Duration,
    answer: Duration,
) -> Result<BufReader<TcpStream>, String> {
    let address = SocketAddr::from((address, PORT));
    let stream = TcpStream::connect_timeout(&address, connect).map_err(text)?;
    stream.set_read_timeout(Some(answer)).map_err(text)?;
    stream.set_write_timeout(Some(answer)).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    Ok(BufReader::new(stream))
}

fn send(stream: &mut BufReader<TcpStream>, words: &[&str]) -> Result<(), String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.get_mut().write_all(request.as_bytes()).map_err(text)
}

/// A number after one of the signs `:` (an integer), `*` (a list's length), `$` (a text's).
fn number(stream: &mut BufReader<TcpStream>, sign: char) -> Result<u64, String> {
    let mut line = String::new();
    let read = stream.by_ref().take(MAX_LINE).read_line(&mut line).map_err(text)?;
    if read == 0 {
        return Err("the server closed the connection".to_owned());
    }
    let line = line.trim_end();
    line.strip_prefix(sign)
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("the server answered {line:?}"))
}

pub(super) fn write(
    address: Ipv4Addr,
    patience: Patience,
    journal: &mut Acknowledge<'_>,
) -> Result<(), String> {
    let mut stream = connect(address, patience.connect, patience.answer)?;
    while let Some(next) = journal.next() {
        send(&mut stream, &["SADD", "acked", &next.to_string()])?;
        number(&mut stream, ':')?;
        journal.acknowledged();
    }
    Ok(())
}

pub(super) fn read_back(address: Ipv4Addr) -> Result<BTreeSet<u64>, String> {
    let mut stream = connect(address, READ_TIMEOUT, READ_TIMEOUT)?;
    send(&mut stream, &["SMEMBERS", "acked"])?;
    let count = usize::try_from(number(&mut stream, '*')?).map_err(|e| e.to_string())?;
    let mut ids = BTreeSet::new();
    for _ in 0..count.min(MAX_IDS) {
        number(&mut stream, '$')?;
        let mut line = String::new();
        stream.by_ref().take(MAX_LINE).read_line(&mut line).map_err(text)?;
        ids.insert(line.trim_end().parse().map_err(|e| format!("{line:?} is no id: {e}"))?);
    }
    Ok(ids)
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}
