//! An HTTP/1.1 client that keeps to one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use super::PATIENCE;

/// A connection; requests on it are served by one goroutine.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

/// What the server answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Body.
    pub body: String,
}

impl Connection {
    /// Connects to `address`, `host:port`.
    pub fn open(address: &str) -> Self {
        let stream =
            TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}"));
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("the duration is not zero");
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Asks for `path`; `None` if the server closes the connection instead of answering.
    pub fn get(&mut self, path: &str) -> Option<Response> {
        write!(
            self.stream.get_mut(),
            "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"
        )
        .unwrap_or_else(|error| panic!("GET {path}: {error}"));
        let status_line = self.line()?;
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {status_line:?}"));
        let mut length = 0;
        loop {
            let header = self.line().expect("headers end with an empty line");
            if header.is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(": ")
                && name.eq_ignore_ascii_case("Content-Length")
            {
                length = value.parse().expect("a length is a number");
            }
        }
        let mut body = vec![0; length];
        self.stream
            .read_exact(&mut body)
            .expect("the body is as long as promised");
        let body = String::from_utf8(body).expect("the test servers answer in UTF-8");
        Some(Response { status, body })
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = self
            .stream
            .read_line(&mut line)
            .expect("the server answers in time");
        (length > 0).then(|| line.trim_end().to_owned())
    }
}
