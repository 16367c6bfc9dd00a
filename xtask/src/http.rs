//! As much of an HTTP client as asking a local server for a page takes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// No page of the example takes longer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asks for `path` and returns the status code.
pub fn get(address: SocketAddr, path: &str) -> Result<u16> {
    let context = || format!("cannot get http://{address}{path}: is the server still running?");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).with_context(context)?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .with_context(context)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).with_context(context)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(context)?;
    match status(&answer) {
        Some(status) => Ok(status),
        None => bail!("http://{address}{path} did not answer with HTTP"),
    }
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.parse().ok()
}

/// One request after the other from a thread of its own, until stopped.
pub struct Requests {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Requests {
    /// Begins to ask for `path`.
    pub fn start(address: SocketAddr, path: &'static str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                get(address, path)?;
            }
            Ok(())
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Waits for the request that is under way; fails if one went wrong.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => bail!("the thread that asks for pages panicked"),
        }
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        // Reached without `stop` only when another error is already being reported.
        let _ = self.end();
    }
}

/// A server that gives `answer` to the first request, which its thread returns, and ends.
#[cfg(test)]
pub(crate) fn answer_once(answer: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(answer).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, server)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_the_second_word() {
        assert_eq!(status(b"HTTP/1.1 504 Gateway Timeout\r\n\r\n"), Some(504));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Some(200));
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
        assert_eq!(status(b""), None);
    }

    #[test]
    fn a_page_is_asked_for_and_its_status_returned() {
        let (address, server) = answer_once(b"HTTP/1.1 204 No Content\r\n\r\n");
        assert_eq!(get(address, "/bar").unwrap(), 204);
        assert!(server.join().unwrap().starts_with("GET /bar HTTP/1.1\r\n"));
    }
}
