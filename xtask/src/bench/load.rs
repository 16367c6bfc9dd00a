//! Load on a local HTTP server: connections that ask again as soon as they are answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::statistics::quantile;

/// No answer takes longer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pages that are asked for are smaller.
const LARGEST_ANSWER: usize = 1 << 16;

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Answers a second.
    pub requests_per_second: f64,
    /// 99 of 100 answers took at most so many seconds.
    pub p99_s: f64,
}

/// Asks for `path` on so many connections at once.
pub fn run(
    address: SocketAddr,
    path: &str,
    connections: usize,
    duration: Duration,
) -> Result<Load> {
    let begun = Instant::now();
    let deadline = begun + duration;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let threads: Vec<JoinHandle<Result<Vec<f64>>>> = (0..connections)
        .map(|_| {
            let request = request.clone();
            std::thread::spawn(move || ask_until(address, request.as_bytes(), deadline))
        })
        .collect();
    let mut latencies = Vec::new();
    for thread in threads {
        match thread.join() {
            Ok(result) => latencies.extend(result?),
            Err(_) => bail!("a thread that asks for pages panicked"),
        }
    }
    let took = begun.elapsed();
    latencies.sort_by(f64::total_cmp);
    Ok(Load {
        requests_per_second: latencies.len() as f64 / took.as_secs_f64(),
        p99_s: quantile(&latencies, 0.99).context("no request was answered")?,
    })
}

/// Seconds of each answer; at least one.
fn ask_until(address: SocketAddr, request: &[u8], deadline: Instant) -> Result<Vec<f64>> {
    let context = || format!("cannot ask {address}: is the server still running?");
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).with_context(context)?;
    stream.set_nodelay(true).with_context(context)?;
    stream
        .set_read_timeout(Some(TIMEOUT))
        .with_context(context)?;
    let mut latencies = Vec::new();
    let mut answer = Vec::new();
    loop {
        let begun = Instant::now();
        stream.write_all(request).with_context(context)?;
        answer.clear();
        while !is_complete(&answer)? {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer).with_context(context)?;
            if read == 0 || answer.len() > LARGEST_ANSWER {
                bail!("{address} closed the connection or answers too much");
            }
            answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        }
        let now = Instant::now();
        latencies.push(now.duration_since(begun).as_secs_f64());
        if now >= deadline {
            return Ok(latencies);
        }
    }
}

/// Whether all of an answer is there; fails if it is none, or an error.
fn is_complete(answer: &[u8]) -> Result<bool> {
    let mut windows = answer.windows(4);
    let Some(end) = windows.position(|window| window == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = String::from_utf8_lossy(answer.get(..end).unwrap_or_default()).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("the server answered {status:?}");
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.with_context(|| format!("an answer without a length: {head:?}"))?;
    Ok(answer.len() - (end + 4) >= length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_when_its_body_is() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert!(!is_complete(b"").unwrap());
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n").unwrap());
        assert!(!is_complete(&[head.as_slice(), b"ab"].concat()).unwrap());
        assert!(is_complete(&[head.as_slice(), b"abc"].concat()).unwrap());
        assert!(is_complete(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").is_err());
        assert!(is_complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn answers_are_counted() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        let (address, server) = crate::http::answer_once(answer);
        let load = run(address, "/", 1, Duration::ZERO).unwrap();
        server.join().unwrap();
        assert!(
            load.requests_per_second > 0.0 && load.p99_s > 0.0,
            "{load:?}"
        );
    }
}
