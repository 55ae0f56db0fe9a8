//! One server, politely: bounded attempts, waits that the server asks for, no more than the budget, and no key where it
//! does not belong.

use crate::config::{Budget, ServerConfig};
use crate::error::ServerError;
use crate::key::Key;
use crate::limit::{Limit, Permit};
use crate::retry;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;

/// More than any answer, and less than would hurt.
const LONGEST_BODY: usize = 32 << 20;
/// Of what a server says about a failure, so much is shown.
const SHOWN: usize = 300;

/// A connection to a server; everything that asks it shares one.
pub(crate) struct Client {
    http: reqwest::Client,
    /// Ends in `/`.
    base: Url,
    key: Option<Key>,
    attempts: usize,
    timeout: Duration,
    patience: Duration,
    budget: Budget,
    requests: AtomicU64,
    tokens: AtomicU64,
    limit: Limit,
    /// Nothing is sent before.
    pause: Mutex<Option<Instant>>,
    runtime: Option<Runtime>,
}

/// What one attempt came to.
enum Attempt<T> {
    Done(T),
    /// Another may go well.
    Again(String),
    /// Another will go well when the server has less to do.
    Busy {
        what: String,
        wait: Option<Duration>,
    },
    Failed(ServerError),
}

impl Client {
    pub fn new(config: &ServerConfig) -> Result<Self, ServerError> {
        let settings = |reason: String| ServerError::Settings { server: config.shown_url(), reason };
        config.check().map_err(settings)?;
        let mut base = Url::parse(&config.url).map_err(|error| settings(error.to_string()))?;
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let key = config.key_env.as_deref().map(Key::from_env).transpose().map_err(settings)?;
        let mut headers = HeaderMap::new();
        if let Some(key) = &key {
            let header =
                key.header().ok_or_else(|| settings("the key holds characters that no header may".into()))?;
            headers.insert(AUTHORIZATION, header);
        }
        // The first of the process stays; ours is the one that the rest of the project has.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // A redirect might lead the key to another host.
        let mut http = reqwest::Client::builder();
        if is_here(&base) {
            // Nobody's proxy can reach it, nor should see it.
            http = http.no_proxy();
        }
        let http = http
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(20).min(config.timeout()))
            .user_agent(concat!("semievol/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| settings(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("semievol-openai")
            .enable_all()
            .build()
            .map_err(|error| settings(format!("no runtime: {error}")))?;
        Ok(Client {
            http,
            base,
            key,
            attempts: config.attempts,
            timeout: config.timeout(),
            patience: config.patience(),
            budget: config.budget,
            requests: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            limit: Limit::new(config.concurrency),
            pause: Mutex::new(None),
            runtime: Some(runtime),
        })
    }

    /// Its address, for messages.
    pub fn server(&self) -> String {
        self.base.as_str().trim_end_matches('/').to_owned()
    }

    /// Requests sent and tokens counted so far.
    pub fn spent(&self) -> (u64, u64) {
        (self.requests.load(Ordering::Relaxed), self.tokens.load(Ordering::Relaxed))
    }

    /// Posts to a path below `/v1`, or beside it where it begins with `../`, until `read` can read the answer.
    pub async fn post<T>(
        &self,
        path: &str,
        body: &Value,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<T, ServerError> {
        self.ask(Method::POST, path, Some(body), read).await
    }

    /// The same without a body.
    pub async fn get<T>(
        &self,
        path: &str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<T, ServerError> {
        self.ask(Method::GET, path, None, read).await
    }

    async fn ask<T>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<T, ServerError> {
        let (mut failed, mut busy) = (0, 0);
        let mut busy_since = None;
        loop {
            let permit = self.permit().await;
            let attempt = tokio::time::timeout(self.timeout, self.attempt(&method, path, body, &read)).await;
            let what = match attempt {
                Ok(Attempt::Done(done)) => {
                    self.limit.went_well();
                    return Ok(done);
                }
                Ok(Attempt::Failed(error)) => return Err(error),
                Ok(Attempt::Busy { what, wait }) => {
                    busy += 1;
                    let since = *busy_since.get_or_insert_with(Instant::now);
                    let wait = wait.unwrap_or_else(|| retry::wait(busy));
                    let own = retry::own_wait(wait, busy);
                    if since.elapsed() + wait.max(own) > self.patience {
                        let wait = wait.max(own);
                        return Err(ServerError::Busy { server: self.server(), wait, last: what });
                    }
                    // Before the permit is gone, or the next one in line would not see it.
                    self.pause_for(wait);
                    drop(permit);
                    tokio::time::sleep(own).await;
                    continue;
                }
                Ok(Attempt::Again(what)) => what,
                Err(_) => {
                    self.limit.overloaded(Instant::now());
                    format!("no whole answer within {} s (timeout_seconds)", self.timeout.as_secs_f64())
                }
            };
            failed += 1;
            if failed >= self.attempts {
                return Err(ServerError::GaveUp { server: self.server(), attempts: failed, last: what });
            }
            drop(permit);
            tokio::time::sleep(retry::wait(failed)).await;
        }
    }

    /// Leave to ask now: a pause may begin while one stands in line for it.
    async fn permit(&self) -> Permit<'_> {
        loop {
            self.wait_for_pause().await;
            let permit = self.limit.permit().await;
            if self.pause().is_none() {
                return permit;
            }
        }
    }

    async fn attempt<T>(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        read: &impl Fn(&Value) -> Result<T, String>,
    ) -> Attempt<T> {
        if let Err(error) = self.spend() {
            return Attempt::Failed(error);
        }
        let again = Attempt::Again;
        let url = match self.base.join(path) {
            Ok(url) => url,
            Err(error) => return again(error.to_string()),
        };
        let mut request = self.http.request(method.clone(), url);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let mut response = match request.send().await {
            Ok(response) => response,
            Err(error) => return again(self.in_words(&error)),
        };
        let status = response.status();
        if status.is_redirection() {
            let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
            let said = format!("a redirect to {to}, which is not followed: set url to where the server is");
            return Attempt::Failed(self.refused(status, &said));
        }
        let wait = retry::asked_for(response.headers(), SystemTime::now());
        let mut bytes = Vec::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(error) => return again(self.in_words(&error)),
            }
            if bytes.len() > LONGEST_BODY {
                return again(format!("an answer of more than {} MiB", LONGEST_BODY >> 20));
            }
        }
        if !status.is_success() {
            if retry::is_overload(status) {
                self.limit.overloaded(Instant::now());
            }
            let said = String::from_utf8_lossy(&bytes);
            let what = format!("status {}: {}", status.as_u16(), self.shown(&said));
            return match status {
                _ if retry::is_overload(status) || (wait.is_some() && retry::is_passing(status)) => {
                    Attempt::Busy { what, wait }
                }
                _ if retry::is_passing(status) => Attempt::Again(what),
                _ => Attempt::Failed(self.refused(status, &said)),
            };
        }
        let body: Value = match serde_json::from_slice(&bytes) {
            Ok(body) => body,
            Err(error) => return again(format!("an answer that is no JSON ({error})")),
        };
        let used = body.get("usage").and_then(|usage| usage.get("total_tokens")).and_then(Value::as_u64);
        self.tokens.fetch_add(used.unwrap_or_default(), Ordering::Relaxed);
        match read(&body) {
            Ok(read) => Attempt::Done(read),
            Err(what) => again(self.shown(&what)),
        }
    }

    /// Counts a request, unless the budget is spent.
    fn spend(&self) -> Result<(), ServerError> {
        let spent = |what, limit| ServerError::Spent { server: self.server(), what, limit };
        if let Some(limit) = self.budget.tokens.filter(|limit| self.spent().1 >= *limit) {
            return Err(spent("tokens", limit));
        }
        let before = self.requests.fetch_add(1, Ordering::Relaxed);
        match self.budget.requests.filter(|limit| before >= *limit) {
            None => Ok(()),
            Some(limit) => {
                self.requests.fetch_sub(1, Ordering::Relaxed);
                Err(spent("requests", limit))
            }
        }
    }

    fn refused(&self, status: StatusCode, said: &str) -> ServerError {
        ServerError::Refused { server: self.server(), status: status.as_u16(), said: self.shown(said) }
    }

    /// The beginning of what a server said, without the key.
    fn shown(&self, said: &str) -> String {
        let said = self.key.as_ref().map_or_else(|| said.to_owned(), |key| key.strike(said));
        let mut shown: String = said.chars().take(SHOWN).collect();
        if shown.len() < said.len() {
            shown.push_str(" ...");
        }
        shown
    }

    fn in_words(&self, error: &reqwest::Error) -> String {
        // The innermost says what happened.
        let mut source: &dyn std::error::Error = error;
        while let Some(inner) = source.source() {
            source = inner;
        }
        self.shown(&source.to_string())
    }

    fn pause_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = Some(pause.map_or(until, |other| other.max(until)));
    }

    /// Until when nobody asks.
    fn pause(&self) -> Option<Instant> {
        let pause = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        pause.filter(|until| *until > Instant::now())
    }

    async fn wait_for_pause(&self) {
        loop {
            match self.pause() {
                Some(until) => {
                    // All wait for the same moment, and would come back together.
                    let late = retry::part_of((until - Instant::now()).mul_f64(0.2));
                    tokio::time::sleep_until((until + late).into()).await;
                }
                None => return,
            }
        }
    }

    /// Waits for what a future comes to.
    pub fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, ServerError>> + Send + 'static,
    ) -> Result<T, ServerError> {
        let (sender, receiver) = mpsc::channel();
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Nobody may be listening any more.
                let _ = sender.send(future.await);
            });
        }
        receiver.recv().unwrap_or_else(|_| {
            Err(ServerError::Settings { server: self.server(), reason: "the connection was closed".into() })
        })
    }

    /// Runs `n` jobs, as many at once as the server bears, and passes on each result when it is there. The first error
    /// begins no further job; those under way are heard to their end, for they may have been paid for.
    pub fn each<T: Send + 'static>(
        self: &Arc<Self>,
        n: usize,
        job: impl Fn(usize) -> BoxFuture<'static, Result<T, ServerError>> + Send + 'static,
        on_done: &mut dyn FnMut(usize, T) -> ControlFlow<()>,
    ) -> Result<(), ServerError> {
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let (sender, receiver) = mpsc::channel();
        let client = self.clone();
        let all = runtime.spawn(async move {
            let mut under_way = FuturesUnordered::new();
            let mut next = 0;
            let mut failed = false;
            loop {
                while !failed && next < n && under_way.len() < client.limit.most() {
                    let (index, job) = (next, job(next));
                    under_way.push(async move { (index, job.await) });
                    next += 1;
                }
                let Some((index, result)) = under_way.next().await else { return };
                failed |= result.is_err();
                if sender.send((index, result)).is_err() {
                    return;
                }
            }
        });
        let mut first = None;
        for (index, result) in &receiver {
            match result {
                Ok(done) => {
                    if on_done(index, done).is_break() {
                        all.abort();
                        return Ok(());
                    }
                }
                Err(error) => first = first.or(Some(error)),
            }
        }
        first.map_or(Ok(()), Err)
    }
}

/// Whether the address is this machine's own.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl Drop for Client {
    fn drop(&mut self) {
        // Waiting for it would panic inside of somebody else's runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
