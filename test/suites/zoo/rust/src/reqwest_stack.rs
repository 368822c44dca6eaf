use crate::mix::{Fault, Stack};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, StatusCode};
use std::io::Write;
use std::time::Duration;

/// Connect's protocol over HTTP/2 with prior knowledge.
#[derive(Clone)]
pub struct Reqwest {
    client: Client,
    url: String,
}

impl Stack for Reqwest {
    const VERSION: &'static str = env!("REQWEST_VERSION");

    async fn dial(address: &str, path: &str) -> Self {
        let client = Client::builder().http2_prior_knowledge().build().expect("a client");
        Reqwest {
            client,
            url: format!("http://{address}{path}"),
        }
    }

    async fn call(&self, request: Bytes, timeout: Duration, compressed: bool) -> Result<Bytes, Fault> {
        let mut asked = self
            .client
            .post(&self.url)
            .timeout(timeout)
            .header("content-type", "application/proto")
            .header("connect-protocol-version", "1")
            .header("connect-timeout-ms", timeout.as_millis().to_string());
        let mut body = request;
        if compressed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).expect("memory takes all");
            body = encoder.finish().expect("memory takes all").into();
            asked = asked.header("content-encoding", "gzip");
        }
        let fault = |error: reqwest::Error| {
            if error.is_timeout() {
                Fault::Expired
            } else {
                Fault::Other(format!("{error:?}"))
            }
        };
        // Of calls that wait for one connection, one dials. When that one is dropped, hyper-util fails the others, of
        // which nothing was sent.
        let mut dials_left = 3;
        let asked = asked.body(body);
        let response = loop {
            let sent = asked.try_clone().expect("the body is in memory").send().await;
            match sent {
                Err(error) if error.is_connect() && dials_left > 0 => dials_left -= 1,
                sent => break sent.map_err(fault)?,
            }
        };
        match response.status() {
            StatusCode::OK => response.bytes().await.map_err(fault),
            StatusCode::GATEWAY_TIMEOUT => Err(Fault::Expired),
            status => Err(Fault::Other(format!("HTTP status {status}"))),
        }
    }
}
