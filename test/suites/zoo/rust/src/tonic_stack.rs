use crate::mix::{Fault, Stack};
use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

#[derive(Clone)]
pub struct Tonic {
    channel: Channel,
    path: PathAndQuery,
}

impl Stack for Tonic {
    const VERSION: &'static str = env!("TONIC_VERSION");

    async fn dial(address: &str, path: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = endpoint.connect().await.expect("a connection");
        Tonic {
            channel,
            path: path.parse().expect("a path"),
        }
    }

    async fn call(&self, request: Bytes, timeout: Duration, compressed: bool) -> Result<Bytes, Fault> {
        let mut client = Grpc::new(self.channel.clone());
        if compressed {
            client = client.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
        }
        let mut asked = Request::new(request);
        asked.set_timeout(timeout);
        client.ready().await.map_err(|error| Fault::Other(error.to_string()))?;
        let answer = client.unary(asked, self.path.clone(), BytesCodec).await;
        answer
            .map(|response| response.into_inner())
            .map_err(|status| match status.code() {
                // Tonic's own timer says CANCELLED, "Timeout expired".
                Code::DeadlineExceeded => Fault::Expired,
                Code::Cancelled if status.message() == "Timeout expired" => Fault::Expired,
                _ => Fault::Other(status.to_string()),
            })
    }
}

/// Messages that are bytes already.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = BytesCodec;
    type Decoder = BytesCodec;

    fn encoder(&mut self) -> BytesCodec {
        BytesCodec
    }

    fn decoder(&mut self) -> BytesCodec {
        BytesCodec
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
