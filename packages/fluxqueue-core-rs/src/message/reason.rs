//! Why a message is dead: the JSON that the dead set keeps with it.

use serde::Serialize;

#[derive(Serialize)]
struct Reason<'a> {
    reason: &'a str,
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'a str>,
}

/// `{"reason":...,"error":...,"traceback":...}`
pub fn dead_reason(reason: &str, error: &str, traceback: Option<&str>) -> Vec<u8> {
    serde_json::to_vec(&Reason { reason, error, traceback }).expect("strings can be written into memory")
}
