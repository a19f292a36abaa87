use super::*;

mod names {
    use super::*;

    #[rstest]
    #[case(json!({"userId": "alice"}), Some("alice"))]
    #[case(json!({"userId": "alice", "sub": "bob"}), Some("alice"))]
    #[case(json!({"sub": "bob"}), Some("bob"))]
    #[case(json!({"userId": 42}), Some("42"))]
    #[case(json!({"userId": -7}), Some("-7"))]
    #[case(json!({"userId": u64::MAX}), Some("18446744073709551615"))]
    #[case(json!({"userId": 42.0}), Some("42"))]
    #[case(json!({"userId": "a b+c@d/é"}), Some("a b+c@d/é"))]
    #[case(json!({}), None)]
    #[case(json!({"id": "alice"}), None)]
    fn the_claim_or_sub_names_the_user(#[case] claims: Json, #[case] named: Option<&str>) {
        assert_eq!(user(&claims), Ok(named.map(str::to_owned)));
    }

    #[rstest]
    #[case(json!({"userId": ""}))]
    #[case(json!({"userId": null}))]
    #[case(json!({"userId": {"$ne": ""}, "sub": "bob"}))]
    #[case(json!({"userId": ["alice"]}))]
    #[case(json!({"userId": true}))]
    #[case(json!({"userId": 1.5}))]
    #[case(json!({"userId": 1e300}))]
    #[case(json!({"userId": "a\u{0}b"}))]
    #[case(json!({"userId": "a\nb"}))]
    #[case(json!({"userId": "x".repeat(129)}))]
    #[case(json!({"sub": ""}))]
    fn an_id_that_is_none_makes_the_token_invalid(#[case] claims: Json) {
        assert_eq!(user(&claims), Err(TokenError::Invalid));
    }

    #[test]
    fn the_claim_can_be_configured_and_sub_still_counts() {
        let settings = AuthSettings {
            user_claim: String::from("uid"),
            ..secret_settings()
        };
        let named = |claims: Json| verify_with(&settings, &claims).unwrap().user.unwrap().to_string();
        assert_eq!(
            named(json!({"uid": "alice", "userId": "eve", "sub": "bob"})),
            "alice"
        );
        assert_eq!(named(json!({"userId": "eve", "sub": "bob"})), "bob");
    }
}

mod roles {
    use super::*;

    #[rstest]
    #[case(json!({}), Role::User)]
    #[case(json!({"role": "admin"}), Role::Admin)]
    #[case(json!({"role": "service"}), Role::Service)]
    #[case(json!({"role": ["reader", "service"]}), Role::Service)]
    #[case(json!({"role": ["service", "admin"]}), Role::Admin)]
    #[case(json!({"role": "Admin"}), Role::User)]
    #[case(json!({"role": {"admin": true}}), Role::User)]
    #[case(json!({"role": [["admin"]]}), Role::User)]
    #[case(json!({"role": null}), Role::User)]
    fn a_role_is_what_the_claim_says(#[case] claims: Json, #[case] role: Role) {
        assert_eq!(verify(&claims).unwrap().role, role);
    }

    #[test]
    fn claim_and_values_can_be_configured_and_off() {
        let settings = AuthSettings {
            role_claim: String::from("scope"),
            admin_role: Some(String::from("root")),
            service_role: None,
            ..secret_settings()
        };
        let role = |claims: Json| verify_with(&settings, &claims).unwrap().role;
        assert_eq!(role(json!({"scope": "root"})), Role::Admin);
        assert_eq!(role(json!({"scope": "service"})), Role::User);
        assert_eq!(role(json!({"scope": ""})), Role::User);
        assert_eq!(role(json!({"role": "root"})), Role::User);
    }
}

mod times {
    use super::*;

    #[rstest]
    #[case(json!(NOW), Ok(()))]
    #[case(json!(NOW + 60), Ok(()))]
    #[case(json!(NOW - 4), Ok(()))]
    #[case(json!(NOW - 5), Err(TokenError::Expired))]
    #[case(json!(NOW as f64 - 4.9), Ok(()))]
    #[case(json!(NOW as f64 - 5.5), Err(TokenError::Expired))]
    #[case(json!(0), Err(TokenError::Expired))]
    #[case(json!(-1), Err(TokenError::Expired))]
    #[case(json!(i64::MIN), Err(TokenError::Expired))]
    #[case(json!(-1e300), Err(TokenError::Expired))]
    #[case(json!(i64::MAX), Ok(()))]
    #[case(json!(u64::MAX), Ok(()))]
    #[case(json!(1e300), Ok(()))]
    #[case(json!((NOW + 60).to_string()), Err(TokenError::Invalid))]
    #[case(json!(null), Err(TokenError::Invalid))]
    #[case(json!(true), Err(TokenError::Invalid))]
    #[case(json!([NOW + 60]), Err(TokenError::Invalid))]
    fn exp_is_a_number_and_ends_a_token_five_seconds_late(
        #[case] exp: Json,
        #[case] verdict: Result<(), TokenError>,
    ) {
        assert_eq!(verify(&json!({"userId": "a", "exp": exp})).map(|_| ()), verdict);
    }

    #[rstest]
    #[case(json!(NOW + 5), Ok(()))]
    #[case(json!(NOW + 6), Err(TokenError::Invalid))]
    #[case(json!(NOW as f64 + 5.5), Err(TokenError::Invalid))]
    #[case(json!(-1), Ok(()))]
    #[case(json!(u64::MAX), Err(TokenError::Invalid))]
    #[case(json!("0"), Err(TokenError::Invalid))]
    fn nbf_is_a_number_and_starts_a_token_five_seconds_early(
        #[case] nbf: Json,
        #[case] verdict: Result<(), TokenError>,
    ) {
        assert_eq!(verify(&json!({"userId": "a", "nbf": nbf})).map(|_| ()), verdict);
    }

    #[test]
    fn the_identity_tells_when_the_token_ends() {
        let expires_at = |exp: Json| {
            verify(&json!({"userId": "a", "exp": exp}))
                .unwrap()
                .expires_at
                .unwrap()
                .as_millis()
        };
        assert_eq!(expires_at(json!(NOW + 60)), (NOW + 60) * 1_000);
        assert_eq!(expires_at(json!(NOW as f64 + 0.5)), NOW * 1_000 + 500);
        assert_eq!(
            expires_at(json!(1e300)),
            Timestamp::from_millis(i64::MAX).as_millis()
        );
        assert_eq!(verify(&json!({"userId": "a"})).unwrap().expires_at, None);
    }

    #[test]
    fn a_token_without_exp_is_taken_unless_configured() {
        let settings = AuthSettings {
            require_exp: true,
            ..secret_settings()
        };
        assert!(verify(&json!({"userId": "a"})).is_ok());
        assert_eq!(
            verify_with(&settings, &json!({"userId": "a"})),
            Err(TokenError::Invalid)
        );
        assert!(verify_with(&settings, &json!({"userId": "a", "exp": NOW + 1})).is_ok());
    }

    #[test]
    fn only_a_token_that_is_good_in_all_else_is_called_expired() {
        let expired = json!({"userId": "", "exp": NOW - 60});
        assert_eq!(verify(&expired), Err(TokenError::Invalid));
    }
}

mod audience_and_issuer {
    use super::*;

    #[rstest]
    #[case(json!({"aud": "carillon", "iss": "login"}), true)]
    #[case(json!({"aud": ["other", "carillon"], "iss": "login"}), true)]
    #[case(json!({"aud": "other", "iss": "login"}), false)]
    #[case(json!({"aud": ["other"], "iss": "login"}), false)]
    #[case(json!({"iss": "login"}), false)]
    #[case(json!({"aud": "carillon", "iss": "elsewhere"}), false)]
    #[case(json!({"aud": "carillon", "iss": ["login"]}), false)]
    #[case(json!({"aud": "carillon"}), false)]
    #[case(json!({"aud": {"carillon": true}, "iss": "login"}), false)]
    fn count_where_they_are_configured(#[case] claims: Json, #[case] taken: bool) {
        let settings = AuthSettings {
            audience: Some(String::from("carillon")),
            issuer: Some(String::from("login")),
            ..secret_settings()
        };
        assert_eq!(verify_with(&settings, &claims).is_ok(), taken);
        assert!(verify(&claims).is_ok());
    }
}
