//! What every answer is in: the request again, and the response with its status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is repeated of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestEcho {
    /// A UUID that names the request.
    pub id: String,
    /// Path and query; empty if they could not be read.
    pub url: String,
    /// Method; empty if it could not be read.
    pub method: String,
    /// When it arrived: RFC 3339 in UTC with milliseconds.
    pub timestamp: String,
}

/// The HTTP status, again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusCode {
    /// 200, or the failure's.
    pub code: u16,
    /// In words; after `OK; ` what the caller should know.
    pub message: String,
}

/// What was answered where there are no items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatusBody {
    /// The status.
    pub status: StatusCode,
}

/// An answer without items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: StatusBody,
}

/// Items of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Items<T: ToSchema> {
    /// The status.
    pub status: StatusCode,
    /// What the items are.
    pub kind: String,
    /// How many.
    pub count: usize,
    /// The items.
    pub items: Vec<T>,
}

/// An answer with items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answered<T: ToSchema> {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: Items<T>,
}

/// One reason of a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// A stable word for programs.
    pub code: String,
    /// A sentence for people. Never holds a secret.
    pub message: String,
    /// The field it is about, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// What was answered where something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailedBody {
    /// The status.
    pub status: StatusCode,
    /// Every reason; never empty.
    pub errors: Vec<Reason>,
}

/// A failure; every status but 200 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failed {
    /// The request.
    pub request: RequestEcho,
    /// The answer.
    pub response: FailedBody,
}
