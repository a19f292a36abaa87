//! Strategies for values and packets, in the form in which a decoder gives them back.

use bytes::Bytes;
use bytestring::ByteString;
use carillon_protocol::{
    socket::{Body, Packet, is_event},
    value::{Object, Value},
};
use proptest::prelude::*;

/// Text with what codecs trip over more often than chance has it.
pub(crate) fn text() -> impl Strategy<Value = ByteString> {
    let special = "[\"\\\\/\u{0}-\u{1f}\u{7f}\u{2028}\u{2029}\u{fffd}é😀,{}\\[\\]0-9u-]{0,8}";
    prop_oneof![special, "[a-zA-Z0-9_ ]{0,40}", any::<String>()].prop_map(ByteString::from)
}

/// A value without [`Value::Binary`]. Whole numbers are integers, as they are after a round trip.
pub(crate) fn json_value() -> impl Strategy<Value = Value> {
    value_of(json_leaf().boxed())
}

/// A value of any kind.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let binary = prop::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Value::Binary(bytes.into()));
    value_of(prop_oneof![5 => json_leaf(), 1 => binary].boxed())
}

/// A packet of any kind, with at most ten attachments.
pub(crate) fn packet() -> impl Strategy<Value = Packet> {
    (nsp(), body()).prop_map(|(nsp, body)| Packet { nsp, body })
}

/// Bytes of a binary message.
pub(crate) fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..64).prop_map(Bytes::from)
}

fn json_leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200_i64..200).prop_map(Value::Int),
        (1 << 63..=u64::MAX).prop_map(Value::UInt),
        any::<f64>()
            .prop_filter("whole or no number", |number| number.fract() != 0.0)
            .prop_map(Value::Float),
        text().prop_map(Value::String),
    ]
}

fn value_of(leaf: BoxedStrategy<Value>) -> impl Strategy<Value = Value> {
    leaf.prop_recursive(5, 48, 6, |inner| {
        let entry = (text(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(Value::Array),
            prop::collection::vec(entry, 0..6).prop_map(|entries| Value::Object(object(entries))),
        ]
    })
}

fn object(entries: Vec<(ByteString, Value)>) -> Object {
    let mut object = Object::with_capacity(entries.len());
    for (key, value) in entries {
        object.push(key, value);
    }
    object
}

fn nsp() -> impl Strategy<Value = ByteString> {
    prop_oneof![Just("/".to_owned()), "/[^,]{0,12}"].prop_map(ByteString::from)
}

fn payload() -> impl Strategy<Value = Value> {
    prop::collection::vec((text(), json_value()), 0..4).prop_map(|entries| Value::Object(object(entries)))
}

fn args() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(value(), 0..4).prop_filter("too many attachments", |args| {
        args.iter().map(Value::count_binary).sum::<usize>() <= 10
    })
}

fn event_args() -> impl Strategy<Value = Vec<Value>> {
    let name = prop_oneof![text().prop_map(Value::String), any::<i64>().prop_map(Value::Int)];
    (name, args())
        .prop_map(|(name, args)| std::iter::once(name).chain(args).collect::<Vec<_>>())
        .prop_filter("reserved name", |args| is_event(args))
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        1 => Just(Body::Connect(Value::Null)),
        1 => payload().prop_map(Body::Connect),
        1 => Just(Body::Disconnect),
        6 => (event_args(), any::<Option<u64>>()).prop_map(|(args, id)| Body::Event { args, id }),
        3 => (args(), any::<u64>()).prop_map(|(args, id)| Body::Ack { args, id }),
        1 => payload().prop_map(Body::ConnectError),
    ]
}
