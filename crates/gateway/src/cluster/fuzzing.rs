//! What another node asks and answers, as any bytes.

use std::fmt::Debug;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    forwarding, hand_over,
    message::{self, Subject},
    supersede,
};

/// Takes any bytes for a message from node to node, and what comes after its first byte for the answer to one.
///
/// # Panics
/// Where what was read is written as something else.
pub fn fuzz_node_question(data: &[u8]) {
    let Some((subject, payload)) = message::open(&Bytes::copy_from_slice(data)) else {
        return;
    };
    match subject {
        Subject::Forward => {
            survives::<forwarding::Question>(&payload);
            survives::<forwarding::Reply>(&payload);
        }
        Subject::HandOver => {
            survives::<hand_over::Question>(&payload);
            survives::<hand_over::Reply>(&payload);
        }
        Subject::Supersede => survives::<supersede::Question>(&payload),
    }
}

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(payload: &[u8]) {
    let Ok(read) = rmp_serde::from_slice::<T>(payload) else {
        return;
    };
    let again = rmp_serde::from_slice::<T>(&message::encode(&read));
    assert!(again.is_ok_and(|again| again == read), "{read:?}");
}
