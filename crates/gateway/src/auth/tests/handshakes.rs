use super::*;

fn auth(token: impl Into<Value>, user: impl Into<Value>) -> Value {
    Value::Object(Object::new().with("token", token).with("userId", user))
}

fn handshake(auth: Option<&Value>, authorization: Option<&str>) -> Result<String, String> {
    authenticate(&verifier(&secret_settings()), auth, authorization)
        .map(|caller| caller.user.to_string())
        .map_err(|refusal| refusal.to_string())
}

fn token_of(user: &str) -> String {
    sign(&json!({"userId": user}))
}

#[rstest]
#[case::nothing(None)]
#[case::no_object(Some(Value::from("token")))]
#[case::null(Some(auth(Value::Null, "alice")))]
#[case::empty(Some(auth("", "alice")))]
#[case::absent(Some(Value::Object(Object::new().with("userId", "alice"))))]
fn no_token(#[case] auth: Option<Value>) {
    assert_eq!(
        handshake(auth.as_ref(), None),
        Err(String::from("Authentication token required"))
    );
}

#[rstest]
#[case::absent(Value::Null)]
#[case::empty(Value::from(""))]
fn nobody_is_named(#[case] claimed: Value) {
    let auth = auth(sign(&json!({})), claimed);
    assert_eq!(
        handshake(Some(&auth), None),
        Err(String::from("User ID required"))
    );
}

#[rstest]
#[case::bad_token(auth("x.y.z", Value::Null))]
#[case::bad_token_and_a_user(auth("x.y.z", "alice"))]
#[case::expired(auth(sign(&json!({"userId": "alice", "exp": 1})), "alice"))]
#[case::token_of_another_type(auth(5_i64, "alice"))]
#[case::token_object(auth(Object::new(), "alice"))]
#[case::another_user(auth(token_of("alice"), "bob"))]
#[case::nobody_beside_a_user(auth(sign(&json!({})), "alice"))]
#[case::nobody_beside_no_id(auth(sign(&json!({})), true))]
#[case::claimed_object(auth(token_of("alice"), Object::new().with("$ne", "")))]
#[case::claimed_control(auth(token_of("alice"), "alice\u{0}"))]
#[case::claimed_too_long(auth(token_of("alice"), "x".repeat(129)))]
#[case::claimed_zero(auth(token_of("alice"), 0_i64))]
fn anything_else(#[case] auth: Value) {
    assert_eq!(
        handshake(Some(&auth), None),
        Err(String::from("Authentication failed"))
    );
}

#[rstest]
#[case(Value::Null, "alice")]
#[case(Value::from(""), "alice")]
#[case(Value::from("alice"), "alice")]
#[case(Value::from(42_i64), "42")]
#[case(Value::from(42.0), "42")]
#[case(Value::from("42"), "42")]
fn the_token_names_the_user_and_auth_may_agree(#[case] claimed: Value, #[case] user: &str) {
    assert_eq!(
        handshake(Some(&auth(token_of(user), claimed)), None),
        Ok(user.to_owned())
    );
}

#[test]
fn a_header_brings_the_token_where_auth_has_none() {
    let header = format!("Bearer {}", token_of("alice"));
    let wins = auth(token_of("bob"), Value::Null);
    let bad = auth("x", Value::Null);

    assert_eq!(handshake(None, Some(&header)), Ok(String::from("alice")));
    assert_eq!(
        handshake(Some(&auth("", "alice")), Some(&header)),
        Ok(String::from("alice"))
    );
    assert_eq!(handshake(Some(&wins), Some(&header)), Ok(String::from("bob")));
    assert_eq!(
        handshake(Some(&bad), Some(&header)),
        Err(String::from("Authentication failed"))
    );
    assert_eq!(
        handshake(None, Some("Basic eDp5")),
        Err(String::from("Authentication token required"))
    );
}

#[test]
fn a_bearer_token_is_found_in_any_case() {
    assert_eq!(bearer("bearer  abc "), Some("abc"));
    assert_eq!(bearer("BEARER abc"), Some("abc"));
    for bad in ["", "Bearer", "Bearer ", "abc", "Token abc"] {
        assert_eq!(bearer(bad), None, "{bad}");
    }
}

#[test]
fn the_caller_knows_when_the_token_ends() {
    let auth = auth(sign(&json!({"userId": "alice", "exp": NOW + 9})), Value::Null);
    let caller = authenticate(&verifier(&secret_settings()), Some(&auth), None).unwrap();
    assert_eq!(caller.expires_at, Some(Timestamp::from_millis((NOW + 9) * 1_000)));
}
