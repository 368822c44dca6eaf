//! A baseline: a stock tonic server on one thread that finds keys in a map by their SHA-256. It prints where it
//! listens.
//!
//!   tonic-server KEY_FILE

mod messages;

use messages::{AuthenticateRequest, AuthenticateResponse, Outcome, Principal, Refusal};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower_service::Service;

const PATH: &str = "/casapay.token.v1.TokenService/Authenticate";

type Principals = HashMap<[u8; 32], Principal>;

#[derive(Clone)]
struct TokenService {
    principals: Arc<Principals>,
}

impl NamedService for TokenService {
    const NAME: &'static str = "casapay.token.v1.TokenService";
}

impl UnaryService<AuthenticateRequest> for TokenService {
    type Response = AuthenticateResponse;
    type Future = Ready<Result<Response<AuthenticateResponse>, Status>>;

    fn call(&mut self, request: Request<AuthenticateRequest>) -> Self::Future {
        let digest: [u8; 32] = Sha256::digest(request.into_inner().key.as_bytes()).into();
        let outcome = match self.principals.get(&digest) {
            Some(principal) => Outcome::Principal(principal.clone()),
            None => Outcome::Refusal(Refusal::key_unknown()),
        };
        let outcome = Some(outcome);
        ready(Ok(Response::new(AuthenticateResponse { outcome })))
    }
}

/// What tonic-build would make for this one call.
impl Service<http::Request<Body>> for TokenService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("").into_http());
            }
            Ok(Grpc::new(ProstCodec::default()).unary(service, request).await)
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let file = std::env::args().nth(1).expect("a file of keys, one a line");
    let principals = Arc::new(read_principals(&file));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    println!("{{\"address\":\"{}\"}}", listener.local_addr().expect("an address"));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = Server::builder().add_service(TokenService { principals });
    server
        .serve_with_incoming(incoming)
        .await
        .expect("a server that ends by a signal alone");
}

/// Each key gets a principal of the usual size.
fn read_principals(file: &str) -> Principals {
    let text = std::fs::read_to_string(file).expect("the file of keys can be read");
    let keys = text.split_whitespace().enumerate();
    keys.map(|(number, key)| (Sha256::digest(key.as_bytes()).into(), Principal::usual(number)))
        .collect()
}
