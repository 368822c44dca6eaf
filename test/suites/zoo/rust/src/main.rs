//! Calls Authenticate as a busy gateway that is written in Rust does, by the library that is named, and prints what
//! came of it as one line of JSON: zoo LIBRARY ORDER_FILE

mod mix;
mod reqwest_stack;
mod tonic_stack;

use base64::Engine;
use bytes::Bytes;
use serde::{Deserialize, Deserializer};

/// What the suite asks for: messages as bytes, and the bytes that answer them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub address: String,
    pub other_address: String,
    pub path: String,
    pub seconds: f64,
    pub good: Example,
    pub revoked: Example,
    pub large: Example,
}

#[derive(Deserialize)]
pub struct Example {
    #[serde(deserialize_with = "from_base64")]
    pub request: Bytes,
    #[serde(deserialize_with = "from_base64")]
    pub response: Bytes,
}

fn from_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes.map(Bytes::from).map_err(serde::de::Error::custom)
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&arguments[2]).expect("the order cannot be read");
    let order: Order = serde_json::from_str(&text).expect("the order cannot be understood");
    let result = match arguments[1].as_str() {
        "tonic" => mix::run::<tonic_stack::Tonic>(order).await,
        "reqwest" => mix::run::<reqwest_stack::Reqwest>(order).await,
        other => panic!("no such library: {other}"),
    };
    println!("{result}");
}
