use super::*;
use rstest::rstest;
use secrecy::ExposeSecret as _;

fn load(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let secret = [("JWT_SECRET", "a secret of thirty-two bytes or so")];
    Settings::load(
        &Flags::default(),
        &secret.iter().chain(variables).copied().collect(),
    )
}

fn flags(values: &[(&'static str, &str)]) -> Flags {
    Flags {
        values: values
            .iter()
            .map(|(flag, text)| (*flag, (*text).to_owned()))
            .collect(),
        ..Flags::default()
    }
}

fn refusal(variables: &[(&str, &str)]) -> String {
    load(variables).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = load(&[]).unwrap();

    assert_eq!(settings.bind.to_string(), "0.0.0.0");
    assert_eq!(settings.port, 4_000);
    assert_eq!(settings.internal_port, None);
    assert_eq!(settings.ping_timeout, Duration::from_millis(60_000));
    assert_eq!(settings.ping_interval, Duration::from_millis(25_000));
    assert_eq!(settings.recovery_window, Duration::from_secs(120));
    assert_eq!(settings.data_dir, PathBuf::from("./data"));
    assert_eq!(settings.notification_days, 90);
    assert_eq!(settings.presence, Scope::All);
    assert!(settings.origins == Origins::default() && !settings.shows_details() && !settings.console);
    assert!(settings.limits.enabled && !settings.auth.require_exp);
    let limits = settings.limits;
    assert_eq!((limits.message_burst.get(), limits.message_rate.get()), (200, 20));
    assert_eq!((limits.event_burst.get(), limits.event_rate.get()), (5_000, 500));
    assert_eq!((limits.max_connections, limits.joined_chats.get()), (None, 1_000));
    assert_eq!(
        (limits.user_connections.get(), limits.address_connections.get()),
        (50, 5_000)
    );
    assert_eq!(
        (limits.connection_rate.get(), limits.request_rate.get()),
        (500, 2_000)
    );
}

#[test]
fn names_follow_from_each_other_and_every_default_can_be_written_down() {
    let defaults = Settings::default();
    for setting in table::all() {
        let from_env = setting.env.trim_start_matches("CARILLON_").to_lowercase();
        assert_eq!(setting.key(), from_env);

        let shown = setting.show(&defaults);
        let mut settings = defaults.clone();
        if !shown.is_empty() {
            setting.apply(&mut settings, &shown).unwrap();
        }
        assert_eq!(
            format!("{settings:?}"),
            format!("{defaults:?}"),
            "{}",
            setting.env
        );
    }
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carillon.toml");
    std::fs::write(
        &path,
        "port = 1\nsocket_ping_timeout = 1\nsocket_ping_interval = 1\nlimits = false",
    )
    .unwrap();
    let config = path.to_str().unwrap();
    let environment: Environment = [
        ("CARILLON_CONFIG", config),
        ("JWT_SECRET", "x"),
        ("PORT", "2"),
        ("SOCKET_PING_TIMEOUT", "2"),
    ]
    .into_iter()
    .collect();

    let settings = Settings::load(&flags(&[("port", "3")]), &environment).unwrap();

    assert_eq!(settings.port, 3);
    assert_eq!(settings.ping_timeout, Duration::from_millis(2));
    assert_eq!(settings.ping_interval, Duration::from_millis(1));
    assert!(!settings.limits.enabled);
    assert_eq!(settings.notification_days, 90);
}

#[test]
fn a_file_holds_lists_and_its_flag_wins_over_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carillon.toml");
    let text = "jwt_secret = \"x\"\nfrontend_url = [\"https://a.example\", \"https://b.example/\"]\nrecovery_window = \"2m\"";
    std::fs::write(&path, text).unwrap();
    let environment = Environment::from_iter([("CARILLON_CONFIG", "/nowhere/carillon.toml")]);

    let settings = Settings::load(
        &Flags {
            config: Some(path),
            ..Flags::default()
        },
        &environment,
    )
    .unwrap();

    assert!(
        settings.origins.allows("https://a.example", None)
            && settings.origins.allows("https://b.example", None)
    );
    assert!(!settings.origins.allows("https://c.example", None));
    assert_eq!(settings.recovery_window, Duration::from_secs(120));
}

#[rstest]
#[case("prot = 1", "`prot` in {file} is no setting of Carillon, did you mean port?")]
#[case("whatever = 1", "`whatever` in {file} is no setting of Carillon")]
#[case(
    "port = \"many\"",
    "`port` in {file} is `many`, but it takes a whole number from 0 to 65535"
)]
#[case(
    "[limits]\nenabled = true",
    "`limits` in {file} is a table, but it takes text, a number, true, false or a list"
)]
fn a_bad_file_is_refused(#[case] text: &str, #[case] message: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carillon.toml");
    std::fs::write(&path, text).unwrap();

    let error = load(&[("CARILLON_CONFIG", path.to_str().unwrap())]).unwrap_err();

    assert_eq!(
        error.to_string(),
        message.replace("{file}", &format!("{}:1", path.display()))
    );
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("carillon.toml");
    let variables = [("CARILLON_CONFIG", path.to_str().unwrap())];

    assert!(refusal(&variables).contains("cannot be read"));
    std::fs::write(&path, "port = 1\njwt_secret = \"hunter2\n").unwrap();
    let message = refusal(&variables);
    assert!(message.contains("cannot be read: TOML parse error at line 2, column "));
    assert!(
        !message.contains("hunter") && !message.contains('\n'),
        "{message}"
    );
}

#[rstest]
#[case("PORT", "4OOO", "PORT is `4OOO`, but it takes a whole number from 0 to 65535")]
#[case("CARILLON_LIMITS", "yes", "CARILLON_LIMITS is `yes`, but it takes on or off")]
#[case(
    "CARILLON_PRESENCE",
    "friends",
    "CARILLON_PRESENCE is `friends`, but it takes all or contacts"
)]
#[case(
    "CARILLON_WORKERS",
    "0",
    "CARILLON_WORKERS is `0`, but it takes a whole number from 1 to 1024"
)]
#[case(
    "CARILLON_MESSAGE_RATE",
    "0",
    "CARILLON_MESSAGE_RATE is `0`, but it takes a whole number from 1 to 1000000000"
)]
#[case(
    "CARILLON_RECOVERY_WINDOW",
    "120",
    "CARILLON_RECOVERY_WINDOW is `120`, but it takes a time with its unit, such as 500ms, 120s, 15m, 12h or 30d"
)]
#[case(
    "CARILLON_RECOVERY_WINDOW",
    "2h",
    "CARILLON_RECOVERY_WINDOW is `2h`, but it takes a time up to 3600s"
)]
#[case(
    "CARILLON_LOG_FORMAT",
    "xml",
    "CARILLON_LOG_FORMAT is `xml`, but it takes text or json"
)]
#[case(
    "CARILLON_BIND",
    "localhost",
    "CARILLON_BIND is `localhost`, but it takes an IP address, such as 0.0.0.0 or ::1"
)]
fn a_bad_value_is_refused_with_its_name_and_what_is_allowed(
    #[case] name: &str,
    #[case] value: &str,
    #[case] message: &str,
) {
    assert_eq!(refusal(&[(name, value)]), message);
}

#[rstest]
#[case("FRONTEND_URL", "https://a.example/app")]
#[case("FRONTEND_URL", "https://a.example,app")]
#[case("SOCKET_PING_TIMEOUT", "0")]
#[case("CARILLON_NOTIFICATION_DAYS", "-1")]
#[case("CARILLON_LOG", "carillon=loud")]
#[case("CARILLON_REDIS_KEY", "a*")]
#[case("CARILLON_REDIS_WIRE", "streams")]
#[case("CARILLON_LEASE", "100ms")]
#[case("CARILLON_LEASE", "2m")]
#[case("CARILLON_JWT_PUBLIC_KEY", "/nowhere/key.pem")]
#[case(
    "CARILLON_JWT_PUBLIC_KEY",
    "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"
)]
fn a_bad_value_of_any_kind_is_refused(#[case] name: &str, #[case] value: &str) {
    assert!(refusal(&[(name, value)]).starts_with(&format!("{name} is ")));
}

#[rstest]
#[case("CARILLON_NOTIFICATON_DAYS", ", did you mean CARILLON_NOTIFICATION_DAYS?")]
#[case("CARILLON_INTRENAL_PORT", ", did you mean CARILLON_INTERNAL_PORT?")]
#[case("CARILLON_CONFG", ", did you mean CARILLON_CONFIG?")]
#[case("CARILLON_PORT", ", did you mean PORT?")]
#[case("CARILLON_JWT_SECRET", ", did you mean JWT_SECRET?")]
#[case("CARILLON_COFFEE", "")]
fn an_unknown_variable_is_refused_with_the_nearest_name(#[case] name: &str, #[case] hint: &str) {
    assert_eq!(
        refusal(&[(name, "3")]),
        format!("{name} is no setting of Carillon{hint}")
    );
}

#[test]
fn other_programs_variables_are_left_alone() {
    assert!(load(&[("PATH", "/bin"), ("LOG_LEVEL", "silly"), ("carillon_port", "1")]).is_ok());
}

#[test]
fn an_unknown_flag_is_refused() {
    let error = Settings::load(&flags(&[("prot", "1")]), &Environment::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--prot is no setting of Carillon, did you mean --port?"
    );
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let settings = load(&[
        ("PORT", ""),
        ("CARILLON_BIND", "  "),
        ("REDIS_URL", ""),
        ("CARILLON_CONFIG", ""),
    ])
    .unwrap();
    assert_eq!(settings.port, 4_000);
    assert!(matches!(load(&[("JWT_SECRET", "")]), Err(SettingsError::NoKey)));
}

#[test]
fn a_role_can_be_switched_off() {
    let settings = load(&[
        ("CARILLON_JWT_ADMIN_ROLE", ""),
        ("CARILLON_JWT_SERVICE_ROLE", "off"),
    ])
    .unwrap();
    assert_eq!(
        (settings.auth.admin_role, settings.auth.service_role),
        (None, None)
    );

    let settings = load(&[("CARILLON_JWT_ADMIN_ROLE", "root")]).unwrap();
    assert_eq!(settings.auth.admin_role.as_deref(), Some("root"));
    assert_eq!(settings.auth.service_role.as_deref(), Some("service"));
}

#[test]
fn a_cluster_node_has_redis_and_mongodb() {
    let settings = load(&[
        ("MONGODB_URI", "mongodb+srv://user:pass@db.example/chat"),
        ("REDIS_URL", "rediss://cache.example:6380/1"),
        ("CARILLON_REDIS_KEY", "chat:prod"),
        ("CARILLON_REDIS_WIRE", "sharded"),
        ("CARILLON_LEASE", "10s"),
        ("CARILLON_CLUSTER_SECRET", "sixteen bytes or more"),
    ])
    .unwrap();

    let text = |secret: &Option<SecretString>| secret.as_ref().unwrap().expose_secret().to_owned();
    let cluster = &settings.cluster;
    assert_eq!(
        text(&settings.mongodb_uri),
        "mongodb+srv://user:pass@db.example/chat"
    );
    assert_eq!(text(&cluster.redis_url), "rediss://cache.example:6380/1");
    assert_eq!(text(&cluster.secret), "sixteen bytes or more");
    assert_eq!(
        (&*cluster.redis_key, cluster.redis_wire),
        ("chat:prod", Wire::Sharded)
    );
    assert_eq!(cluster.lease, Duration::from_secs(10));
}

#[test]
fn nodes_that_share_events_must_share_their_history() {
    let message = refusal(&[("REDIS_URL", "redis://cache")]);
    assert!(message.contains("must share their history") && message.contains("MONGODB_URI"));
    assert!(
        load(&[("MONGODB_URI", "mongodb://db")]).is_ok(),
        "one node may have a remote database"
    );
    let message = refusal(&[("CARILLON_CLUSTER_SECRET", "sixteen bytes or more")]);
    assert!(message.contains("REDIS_URL is not"));
}

#[rstest]
#[case(
    "MONGODB_URI",
    "postgres://user:hunter2@db/chat",
    "an address that begins with mongodb:// or mongodb+srv://"
)]
#[case(
    "MONGODB_URI",
    "mongodb://",
    "an address that begins with mongodb:// or mongodb+srv://"
)]
#[case(
    "REDIS_URL",
    "hunter2:6379",
    "an address that begins with redis:// or rediss://"
)]
#[case("CARILLON_CLUSTER_SECRET", "hunter2", "a text of 16 bytes or more")]
fn an_address_of_another_kind_is_refused_and_not_shown(
    #[case] name: &str,
    #[case] value: &str,
    #[case] allowed: &str,
) {
    assert_eq!(
        refusal(&[(name, value)]),
        format!("{name} is (hidden), but it takes {allowed}")
    );
}

#[test]
fn the_receiver_of_traces_has_two_names_of_which_ours_counts() {
    let (ours, theirs) = ("CARILLON_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT");
    let endpoint = |variables: &[(&str, &str)]| load(variables).unwrap().traces.otlp_endpoint;
    assert_eq!(endpoint(&[]), None);
    assert_eq!(
        endpoint(&[(theirs, "http://b:4317")]).as_deref(),
        Some("http://b:4317")
    );
    let both = [(ours, "http://a:4317"), (theirs, "http://b:4317")];
    assert_eq!(endpoint(&both).as_deref(), Some("http://a:4317"));

    assert!(refusal(&[(theirs, "https://b:4317")]).starts_with(theirs));
    assert!(refusal(&[("CARILLON_TRACE_RATIO", "1.5")]).contains("a number from 0 to 1"));
    let half = load(&[("CARILLON_TRACE_RATIO", "0.5")]).unwrap();
    assert!((half.traces.ratio - 0.5).abs() < f64::EPSILON);
}

#[test]
fn without_a_key_the_node_does_not_start_but_says_what_to_do() {
    let error = Settings::load(&Flags::default(), &Environment::default()).unwrap_err();
    for word in ["JWT_SECRET", "CARILLON_JWT_PUBLIC_KEY", "CARILLON_JWKS", "--dev"] {
        assert!(error.to_string().contains(word));
    }
    let previous = Environment::from_iter([("CARILLON_JWT_SECRET_PREVIOUS", "old")]);
    assert!(matches!(
        Settings::load(&Flags::default(), &previous),
        Err(SettingsError::NoKey)
    ));
}

#[test]
fn a_key_set_is_key_enough_and_lives_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, r#"{"keys": []}"#).unwrap();
    let (file, pem) = (
        path.to_str().unwrap(),
        include_str!("../auth/fixtures/test-only-p256-public.pem"),
    );

    let alone = Settings::load(
        &Flags::default(),
        &Environment::from_iter([("CARILLON_JWKS", file)]),
    )
    .unwrap();
    let mixed = load(&[("CARILLON_JWKS", file), ("CARILLON_JWT_PUBLIC_KEY", pem)]).unwrap();

    assert_eq!(alone.auth.jwks.unwrap().to_string(), file);
    assert!(mixed.auth.jwks.is_some() && mixed.auth.secret.is_some() && !mixed.auth.public_keys.is_empty());
}

#[test]
fn a_broken_key_set_is_refused_with_variable_path_and_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    let path = path.to_str().unwrap();
    let message = |reason| {
        format!(
            "CARILLON_JWKS is `{path}`, but it takes a file with a JSON Web Key Set (`{{\"keys\": […]}}`); {reason}"
        )
    };
    let refused = || refusal(&[("CARILLON_JWKS", path)]);

    assert!(refused().starts_with(&message("it cannot be read: No such file")));
    std::fs::write(path, "-----BEGIN PUBLIC KEY-----").unwrap();
    assert!(refused().starts_with(&message("it is no JSON: ")));
    std::fs::write(path, r#"{"kty": "oct", "k": "hunter2"}"#).unwrap();
    assert_eq!(refused(), message("it has no list `keys`"));
}

#[test]
fn secrets_are_never_shown() {
    let settings = load(&[
        ("JWT_SECRET", "hunter2"),
        ("CARILLON_JWT_SECRET_PREVIOUS", "hunter1"),
        ("MONGODB_URI", "mongodb://me:hunter0@db"),
        ("REDIS_URL", "redis://:hunter3@cache"),
        ("CARILLON_CLUSTER_SECRET", "hunter4 hunter5 hunter6"),
    ])
    .unwrap();
    assert!(!format!("{settings:?}").contains("hunter"));

    let error = Settings::load(&flags(&[("jwt-secret", " ")]), &Environment::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "--jwt-secret is (hidden), but it takes a text that is not empty"
    );
}

#[test]
fn health_cannot_share_the_client_port() {
    assert!(matches!(
        load(&[("CARILLON_INTERNAL_PORT", "4000")]),
        Err(SettingsError::SamePort { port: 4_000 })
    ));
    assert_eq!(
        load(&[("PORT", "0"), ("CARILLON_INTERNAL_PORT", "0")])
            .unwrap()
            .internal_port,
        Some(0)
    );
}

#[test]
fn development_is_loopback_with_a_secret_that_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::from_iter([("CARILLON_DATA_DIR", folder.path().to_str().unwrap())]);
    let dev = Flags {
        dev: true,
        ..Flags::default()
    };

    let first = Settings::load(&dev, &environment).unwrap();
    let second = Settings::load(&dev, &environment).unwrap();

    assert!(first.dev && first.console && first.bind.is_loopback());
    let secret = |settings: &Settings| settings.auth.secret.clone().unwrap().expose_secret().to_owned();
    assert_eq!(secret(&first), secret(&second));
}

#[test]
fn development_takes_a_given_secret_and_makes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::from_iter([
        ("CARILLON_DATA_DIR", folder.path().to_str().unwrap()),
        ("JWT_SECRET", "given"),
    ]);

    let settings = Settings::load(
        &Flags {
            dev: true,
            ..Flags::default()
        },
        &environment,
    )
    .unwrap();

    assert_eq!(settings.auth.secret.unwrap().expose_secret(), "given");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn development_on_a_public_address_is_refused() {
    let dev = |bind| {
        let environment = Environment::from_iter([("CARILLON_BIND", bind), ("JWT_SECRET", "x")]);
        Settings::load(
            &Flags {
                dev: true,
                ..Flags::default()
            },
            &environment,
        )
    };
    assert!(matches!(dev("0.0.0.0"), Err(SettingsError::DevBind { .. })));
    assert!(matches!(dev("192.168.1.2"), Err(SettingsError::DevBind { .. })));
    assert!(dev("127.0.0.2").is_ok() && dev("::1").is_ok());
}
