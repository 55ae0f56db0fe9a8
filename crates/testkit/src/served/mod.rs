//! Servers on the loopback address: one that does what a test says, and a toy language model that speaks two dialects.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a double fails a test by panicking")]

pub mod toy;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a test's server was asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// How many came before it.
    pub number: usize,
    /// With what stands behind a question mark.
    pub path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Null where there is none.
    pub body: Value,
}

/// What it does.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Json(Value),
    /// A status with headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// So many bytes of an answer, then the connection is gone.
    Reset,
    /// A byte now and then.
    Drip,
    /// Without an end.
    Endless,
    /// An answer that may be anything.
    Text(String),
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// A server until it is dropped.
#[derive(Debug)]
pub struct Server {
    /// Its address, `/v1` included.
    pub url: String,
    stop: Arc<AtomicBool>,
    most_at_once: Arc<AtomicUsize>,
}

impl Server {
    /// Answers every request by the handler, on a thread for each connection.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let handler: Arc<Handler> = Arc::new(handler);
        let shared = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), most_at_once.clone());
        let stopped = stop.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (handler, shared, stopped) = (handler.clone(), shared.clone(), stopped.clone());
                std::thread::spawn(move || {
                    let _ = serve(stream.unwrap(), handler.as_ref(), &shared, &stopped);
                });
            }
        });
        Server { url, stop, most_at_once }
    }

    /// The most requests that were under way at one moment.
    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let address = self.url.trim_start_matches("http://").trim_end_matches("/v1");
        let _ = TcpStream::connect(address);
    }
}

type Shared = (Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>);

fn serve(
    stream: TcpStream,
    handler: &Handler,
    (served, under_way, most): &Shared,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut out = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 || stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            input.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
                None => break,
            };
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        input.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let number = served.fetch_add(1, Ordering::SeqCst);
        most.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let reply = handler(&Request { number, path, headers, body });
        let written = write(&mut out, reply, stop);
        under_way.fetch_sub(1, Ordering::SeqCst);
        if !written? {
            return Ok(());
        }
    }
}

/// Whether the connection goes on.
fn write(out: &mut TcpStream, reply: Reply, stop: &AtomicBool) -> std::io::Result<bool> {
    let head = |status: u16, length: usize, more: &[(&str, String)]| {
        let more: String = more.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{more}\r\n"
        )
    };
    match reply {
        Reply::Json(body) => {
            let body = body.to_string();
            out.write_all((head(200, body.len(), &[]) + &body).as_bytes())?;
        }
        Reply::Text(body) => out.write_all((head(200, body.len(), &[]) + &body).as_bytes())?,
        Reply::Status(status, headers, body) => {
            out.write_all((head(status, body.len(), &headers) + &body).as_bytes())?;
        }
        Reply::Reset => {
            out.write_all((head(200, 1000, &[]) + "{\"choices\":").as_bytes())?;
            return Ok(false);
        }
        Reply::Drip => {
            out.write_all(head(200, 1000, &[]).as_bytes())?;
            while !stop.load(Ordering::Relaxed) {
                out.write_all(b" ")?;
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(false);
        }
        Reply::Endless => {
            out.write_all(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\n\r\n{\"choices\": \"")?;
            while !stop.load(Ordering::Relaxed) {
                out.write_all(&[b'x'; 1 << 16])?;
            }
            return Ok(false);
        }
    }
    Ok(true)
}

/// A chat's answer.
pub fn said(text: &str) -> Value {
    json!({
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    })
}

/// A list of one model of nobody's.
pub fn models() -> Value {
    json!({"object": "list", "data": [{"id": "some-model", "object": "model"}]})
}

/// The last message of a chat.
pub fn asked(request: &Request) -> String {
    request.body["messages"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap().to_owned()
}

/// A server of chats that answers the list of models, and the rest as told.
pub fn chats(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match request.path.as_str() {
        "/v1/models" => Reply::Json(models()),
        _ => handler(request),
    })
}

/// What was asked about, by how often it was answered.
#[derive(Debug, Default, Clone)]
pub struct Counts(Arc<Mutex<BTreeMap<String, usize>>>);

impl Counts {
    /// How often it was counted before.
    pub fn count(&self, what: &str) -> usize {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry(what.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    /// All counts.
    pub fn all(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap().clone()
    }
}
