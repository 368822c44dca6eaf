//! Of `token_service.proto`, as much as the call needs.

use prost::{Message, Oneof};

#[derive(Clone, PartialEq, Message)]
pub struct AuthenticateRequest {
    #[prost(string, tag = "1")]
    pub key: String,
    #[prost(string, repeated, tag = "2")]
    pub required_permissions: Vec<String>,
    #[prost(bool, optional, tag = "3")]
    pub livemode: Option<bool>,
    #[prost(int32, repeated, tag = "4")]
    pub allowed_types: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct AuthenticateResponse {
    #[prost(oneof = "Outcome", tags = "1, 2")]
    pub outcome: Option<Outcome>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Outcome {
    #[prost(message, tag = "1")]
    Principal(Principal),
    #[prost(message, tag = "2")]
    Refusal(Refusal),
}

#[derive(Clone, PartialEq, Message)]
pub struct Principal {
    #[prost(string, tag = "1")]
    pub token_id: String,
    #[prost(string, tag = "2")]
    pub account: String,
    #[prost(int32, tag = "3")]
    pub r#type: i32,
    #[prost(bool, tag = "4")]
    pub livemode: bool,
    #[prost(string, repeated, tag = "5")]
    pub permissions: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Refusal {
    #[prost(int32, tag = "1")]
    pub reason: i32,
}

const TOKEN_TYPE_RESTRICTED: i32 = 3;
const REFUSAL_REASON_KEY_UNKNOWN: i32 = 2;

impl Principal {
    /// One of the usual size.
    pub fn usual(number: usize) -> Self {
        Principal {
            token_id: format!("tok_{number:024}"),
            account: format!("acct_{number}"),
            r#type: TOKEN_TYPE_RESTRICTED,
            livemode: true,
            permissions: vec!["invoices:read".into(), "events:write".into()],
        }
    }
}

impl Refusal {
    pub fn key_unknown() -> Self {
        let reason = REFUSAL_REASON_KEY_UNKNOWN;
        Refusal { reason }
    }
}
