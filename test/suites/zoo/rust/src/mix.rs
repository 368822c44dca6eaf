use crate::{Example, Order};
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 4;
const WORKERS: usize = 32;
const PATIENCE: Duration = Duration::from_secs(20);
const KEPT_FAULTS: usize = 5;

/// Why a call has no answer.
pub enum Fault {
    Expired,
    Other(String),
}

/// A client library, and one connection of it.
pub trait Stack: Clone + Send + Sync + 'static {
    const VERSION: &'static str;
    fn dial(address: &str, path: &str) -> impl Future<Output = Self> + Send;
    /// Dropping the future cancels the call.
    fn call(
        &self,
        request: Bytes,
        timeout: Duration,
        compressed: bool,
    ) -> impl Future<Output = Result<Bytes, Fault>> + Send;
}

#[derive(Default)]
struct Tally {
    calls: u64,
    wrong: u64,
    failed: u64,
    cancelled: u64,
    expired: u64,
    longest_ms: u128,
    faults: Vec<String>,
}

impl Tally {
    fn take(&mut self, asked: &Example, answer: Result<Bytes, Fault>, took: Duration) {
        self.calls += 1;
        self.longest_ms = self.longest_ms.max(took.as_millis());
        match answer {
            Ok(bytes) if bytes == asked.response => {}
            Ok(_) => {
                self.wrong += 1;
                self.note("another answer than the contract's".to_owned());
            }
            Err(Fault::Expired) => self.fail("expired".to_owned()),
            Err(Fault::Other(text)) => self.fail(text),
        }
    }

    fn fail(&mut self, text: String) {
        self.failed += 1;
        self.note(text);
    }

    fn note(&mut self, text: String) {
        if self.faults.len() < KEPT_FAULTS {
            self.faults.push(text);
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "calls": self.calls, "wrong": self.wrong, "failed": self.failed, "cancelled": self.cancelled,
            "expired": self.expired, "longestMs": self.longest_ms as u64, "faults": self.faults,
        })
    }
}

/// Calls as a busy gateway does, with a witness on one of its connections and one on a connection of its own.
pub async fn run<S: Stack>(order: Order) -> Value {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(S::dial(&order.address, &order.path).await);
    }
    let apart = S::dial(&order.other_address, &order.path).await;
    let end = Instant::now() + Duration::from_secs_f64(order.seconds);
    let order = Arc::new(order);
    let [busy, same, other] = std::array::from_fn(|_| Arc::new(Mutex::new(Tally::default())));
    let numbers = Arc::new(AtomicU64::new(0));
    println!("begun");
    let mut tasks = vec![
        tokio::spawn(witness(connections[0].clone(), order.clone(), end, same.clone())),
        tokio::spawn(witness(apart, order.clone(), end, other.clone())),
    ];
    for worker in 0..WORKERS {
        let connection = connections[worker % CONNECTIONS].clone();
        tasks.push(tokio::spawn(work(
            connection,
            order.clone(),
            end,
            numbers.clone(),
            busy.clone(),
        )));
    }
    for task in tasks {
        task.await.expect("a task has failed");
    }
    let to_json = |tally: &Mutex<Tally>| tally.lock().unwrap().to_json();
    json!({ "version": S::VERSION, "busy": to_json(&busy), "same": to_json(&same), "other": to_json(&other) })
}

async fn work<S: Stack>(
    connection: S,
    order: Arc<Order>,
    end: Instant,
    numbers: Arc<AtomicU64>,
    busy: Arc<Mutex<Tally>>,
) {
    while Instant::now() < end {
        let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
        let (is_cancelled, is_expired) = (number % 3 == 0, number % 3 == 1);
        let asked = if number % 10 == 9 { &order.large } else { &order.good };
        let timeout = if is_expired {
            Duration::from_millis(1 + random() % 5)
        } else {
            PATIENCE
        };
        let call = connection.call(asked.request.clone(), timeout, number % 2 == 0);
        if is_cancelled {
            match tokio::time::timeout(Duration::from_micros(random() % 3_000), call).await {
                Ok(answer) => busy.lock().unwrap().take(asked, answer, Duration::ZERO),
                Err(_) => busy.lock().unwrap().cancelled += 1,
            }
        } else {
            match call.await {
                Err(Fault::Expired) if is_expired => busy.lock().unwrap().expired += 1,
                answer => busy.lock().unwrap().take(asked, answer, Duration::ZERO),
            }
        }
    }
}

/// A client that does nothing wrong: one call after the other, of a good key and of a revoked one.
async fn witness<S: Stack>(connection: S, order: Arc<Order>, end: Instant, tally: Arc<Mutex<Tally>>) {
    let mut number = 0;
    while Instant::now() < end {
        let asked = if number % 2 == 0 { &order.good } else { &order.revoked };
        let start = Instant::now();
        let answer = connection.call(asked.request.clone(), PATIENCE, false).await;
        tally.lock().unwrap().take(asked, answer, start.elapsed());
        number += 1;
    }
}

/// The standard library seeds each of these anew.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
