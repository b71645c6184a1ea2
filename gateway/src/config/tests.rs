//! Whole configurations: what they make, and every mistake that they may hold.

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// A folder with a config file.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(config: &str) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("sluice.toml", config);
        folder
    }

    fn write(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Loaded, Invalid> {
        Config::load(
            Some(&self.path("sluice.toml")),
            &env.iter().copied().collect(),
        )
    }
}

fn load(config: &str, env: &[(&str, &str)]) -> Result<Loaded, Invalid> {
    Folder::new(config).load(env)
}

/// Mistakes as text, without the folder's name.
fn mistakes_of(config: &str, env: &[(&str, &str)]) -> Vec<String> {
    let folder = Folder::new(config);
    let invalid = folder.load(env).unwrap_err();
    texts(&folder, &invalid.mistakes)
}

fn texts(folder: &Folder, mistakes: &[Mistake]) -> Vec<String> {
    let prefix = format!("{}/", folder.0.path().display());
    mistakes
        .iter()
        .map(|m| m.to_string().replace(&prefix, ""))
        .collect()
}

#[test]
fn nothing_but_openness_makes_the_defaults() {
    let loaded = Config::load(
        None,
        &[("SLUICE_REGISTRY_OPEN", "true")].into_iter().collect(),
    );
    let mut expected = Config::default();
    expected.registry.open = true;
    assert_eq!(loaded.unwrap().config, expected);
}

#[test]
fn a_file_sets_options_of_every_kind() {
    let config = load(
        r#"
            [http]
            listen = "0.0.0.0:8080"
            max_body_bytes = "2MiB"
            header_timeout_ms = 1_500
            cors_origins = ["https://a.example", "http://localhost:3000"]
            [nats]
            url = "nats://n1:4222,nats://n2:4222"
            prefix = "acme.sluice"
            [gateway]
            drain_delay_ms = 0
            detail_error = true
            [registry.secrets]
            users = "0123456789abcdef"
            "a.b" = "0123456789abcdef"
            [dispatch]
            stream_bytes = 4096
            [log]
            filter = "warn,sluice_gateway=debug"
            json = true
        "#,
        &[],
    )
    .unwrap();
    assert_eq!(config.warnings, []);
    let config = config.config;
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.http.max_body_bytes, 2 << 20);
    assert_eq!(config.http.header_timeout, Duration::from_millis(1500));
    assert_eq!(config.http.cors_origins.len(), 2);
    assert_eq!(config.nats.prefix, "acme.sluice");
    assert_eq!(config.gateway.drain_delay, Duration::ZERO);
    assert!(config.gateway.detail_error);
    assert_eq!(config.registry.secrets["a.b"], "0123456789abcdef");
    assert_eq!(config.dispatch.stream_bytes, 4096);
    assert!(config.log.json);
}

#[test]
fn every_option_can_come_from_the_environment() {
    let folder = Folder::new("");
    let file = folder.write("any", "content");
    for section in Config::reference() {
        for option in &section.options {
            // Any value that is right; most options take their own default.
            let default = option.default.as_deref().unwrap_or("\"some text\"");
            let is_path = option.kind.contains("path of a file");
            let value = match option.name.as_str() {
                _ if is_path => file.clone(),
                "secrets" => "users=0123456789abcdef".to_owned(),
                "services" => "users".to_owned(),
                "tokens" => "ops 0123456789abcdef *".to_owned(),
                "cors_origins" | "check_origin" => "*".to_owned(),
                "compression" => "gzip".to_owned(),
                "cors_headers" | "cors_expose" => "x-tenant".to_owned(),
                "topics" => "rpc:* call reply".to_owned(),
                "sources" => "field".to_owned(),
                "default" if section.name == "versions" => "1".to_owned(),
                "otlp_endpoint" => "http://127.0.0.1:4317".to_owned(),
                "id" => "gateway-1".to_owned(),
                "nkey" => nkeys::KeyPair::new_user().seed().unwrap(),
                "nodes" => "redis://127.0.0.1:7000".to_owned(),
                "url" if section.name == "redis" => "redis://127.0.0.1:6379".to_owned(),
                "trusted_proxies" => "10.0.0.0/8".to_owned(),
                "algorithms" => "RS256".to_owned(),
                "issuers" | "audiences" => "somebody".to_owned(),
                _ => default.trim_matches('"').to_owned(),
            };
            let env = [(option.env.as_str(), value.as_str())]
                .into_iter()
                .collect();
            let mut reader = Reader::new(None, &env);
            Config::read(&mut reader);
            unknown::check(&mut reader, &Config::reference());
            let name = format!("{}.{}", section.name, option.name);
            assert!(reader.is_given(&name), "{}", option.env);
            assert_eq!((reader.mistakes, reader.warnings), (vec![], vec![]));
        }
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let config = "[http]\nlisten = \"127.0.0.1:1\"\nmax_connections = 7\n[registry]\nopen = true";
    let env = [
        ("SLUICE_HTTP_LISTEN", "127.0.0.1:2"),
        ("SLUICE_HTTP_MAX_CONNECTIONS", ""),
        ("SLUICE_HTTP_MAX_BODY_BYTES", "64KiB"),
        (
            "SLUICE_REGISTRY_SECRETS",
            "users=0123456789abcdef,orders=fedcba9876543210",
        ),
        ("HOME", "/root"),
    ];
    let Loaded { config, warnings } = load(config, &env).unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.http.listen.port(), 2);
    assert_eq!(config.http.max_connections, 7, "an empty variable is none");
    assert_eq!(config.http.max_body_bytes, 65_536);
    assert_eq!(config.registry.secrets["orders"], "fedcba9876543210");
}

#[test]
fn secrets_come_from_files() {
    let folder = Folder::new("");
    let password = folder.write("password", "s3cret\n");
    let secrets = folder.write(
        "secrets",
        "users=0123456789,abcdef\n# more\norders=fedcba9876543210",
    );
    folder.write(
        "sluice.toml",
        &format!(
            "[nats]\nuser = \"gateway\"\npassword_file = {password:?}\n[registry]\nsecrets_file = {secrets:?}"
        ),
    );
    let config = folder.load(&[]).unwrap().config;
    assert_eq!(config.nats.password.as_deref(), Some("s3cret"));
    assert_eq!(config.registry.secrets["users"], "0123456789,abcdef");

    let token = folder.write("token", "t0ken");
    folder.write("sluice.toml", "");
    let env = [
        ("SLUICE_NATS_TOKEN_FILE", token.as_str()),
        ("SLUICE_REGISTRY_SECRETS_FILE", secrets.as_str()),
    ];
    let config = folder.load(&env).unwrap().config;
    assert_eq!(config.nats.token.as_deref(), Some("t0ken"));
    assert_eq!(config.registry.secrets.len(), 2);
}

#[test]
fn secrets_are_masked_in_debug() {
    let env = [
        ("SLUICE_NATS_URL", "nats://h:1"),
        ("SLUICE_NATS_USER", "gateway"),
        ("SLUICE_NATS_PASSWORD", "hunter2"),
        ("SLUICE_REGISTRY_SECRETS", "users=hunter2hunter2hunter2"),
        ("SLUICE_REDIS_URL", "redis://u:hunter2,hunter2@h:1/0"),
        (
            "SLUICE_JWT_JWKS_URL",
            "https://u:hunter2@h/keys?key=hunter2",
        ),
        ("SLUICE_JWT_AUDIENCES", "sluice"),
        ("SLUICE_TELEMETRY_OTLP_ENDPOINT", "http://h:4317"),
        ("SLUICE_TELEMETRY_OTLP_HEADERS", "authorization=hunter2"),
        ("SLUICE_ADMIN_TOKENS", "ann hunter2hunter2hunter2 *"),
    ];
    let config = load("", &env).unwrap().config;
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("\"users\": \"***\""));
    let running = config.running();
    assert!(!running.to_string().contains("hunter2"), "{running}");
    assert_eq!(running["jwt"]["jwks_url"]["value"], "https://***@h/keys");
    assert_eq!(running["registry"]["secrets"]["value"]["users"], "***");
}

#[test]
fn an_address_with_a_password_where_nobody_signs_in_is_refused_and_not_repeated() {
    for url in ["http://ann:hunter2@h:4317", "hunter2@h", "ftp://hunter2@h"] {
        let env = [("SLUICE_TELEMETRY_OTLP_ENDPOINT", url)];
        let env = [env[0], ("SLUICE_REGISTRY_OPEN", "1")];
        let mistakes = mistakes_of("", &env);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        let said = mistakes.concat();
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[test]
fn options_run_in_the_form_that_the_file_takes() {
    // What is shown, written into a file, gives the same configuration.
    let config = load(
        "",
        &[("SLUICE_GATEWAY_ID", "g1"), ("SLUICE_REGISTRY_OPEN", "1")],
    )
    .unwrap()
    .config;
    let running = config.running();
    let mut file = toml::Table::new();
    for section in Config::reference() {
        let mut table = toml::Table::new();
        for option in &section.options {
            let value = &running[section.name][&option.name]["value"];
            if !value.is_null() {
                let value = toml::Value::try_from(value).unwrap();
                table.insert(option.name.clone(), value);
            }
        }
        file.insert(section.name.to_owned(), table.into());
    }
    assert_eq!(load(&file.to_string(), &[]).unwrap().config, config);
    assert_eq!(
        running["gateway"]["id"],
        serde_json::json!({"value": "g1", "default": false})
    );
    assert!(
        running["http"]["header_timeout_ms"]["value"].is_u64(),
        "{running}"
    );
    assert!(running["telemetry"]["otlp_endpoint"]["value"].is_null());
}

/// Each row: a config file that has one mistake, and what is said of it.
#[test]
fn each_mistake_in_a_file() {
    for (config, expected) in [
        (
            "htpp.listen = 1",
            "sluice.toml:1: htpp: unknown section (did you mean http?); there are http, phoenix, admin, nats, redis, gateway, registry, identity, jwt, dispatch, breaker, limits, results, idempotency, telemetry, versions, log, function, limit, api_key",
        ),
        (
            "listen = 1",
            "sluice.toml:1: listen: is an option of [http] or [admin]: move it below that header",
        ),
        (
            "http = 5",
            "sluice.toml:1: http: expected the section [http], a table",
        ),
        (
            "\n[http]\nlisen = \"127.0.0.1:1\"",
            "sluice.toml:3: http.lisen: unknown option (did you mean listen?)",
        ),
        (
            "[http]\nheader_timeout = 5",
            "sluice.toml:2: http.header_timeout: unknown option (did you mean header_timeout_ms?)",
        ),
        (
            "[http]\nmax_in_flight = 5",
            "sluice.toml:2: http.max_in_flight: unknown option; it belongs to [phoenix] or [gateway]",
        ),
        (
            "[log]\ncolour = true",
            "sluice.toml:2: log.colour: unknown option; [log] has filter, json",
        ),
        (
            "[http]\nlisten = 4000",
            "sluice.toml:2: http.listen: expected an IP address and a port, for example \"127.0.0.1:4000\" or \"[::]:4000\", got 4000",
        ),
        (
            "[http]\nlisten = \"localhost:80\"",
            "sluice.toml:2: http.listen: expected an IP address and a port, for example \"127.0.0.1:4000\" or \"[::]:4000\", got \"localhost:80\"; write \"127.0.0.1:80\"",
        ),
        (
            "[http]\nmax_connections = \"7\"",
            "sluice.toml:2: http.max_connections: expected an integer, 1 to 10000000, got \"7\"",
        ),
        (
            "[http]\nmax_connections = 0",
            "sluice.toml:2: http.max_connections: expected an integer, 1 to 10000000, got 0",
        ),
        (
            "[http]\nmax_connections = 99999999999999999999999",
            "sluice.toml:2: http.max_connections: expected an integer, 1 to 10000000, got 99999999999999999999999",
        ),
        (
            "[http]\nheader_timeout_ms = \"10s\"",
            "sluice.toml:2: http.header_timeout_ms: expected milliseconds, 1 to 3600000, got \"10s\"",
        ),
        (
            "[http]\nheader_timeout_ms = 1.5",
            "sluice.toml:2: http.header_timeout_ms: expected milliseconds, 1 to 3600000, got 1.5",
        ),
        (
            "[http]\nmax_body_bytes = \"1 elephant\"",
            "sluice.toml:2: http.max_body_bytes: expected a size in bytes, 1 to 1GiB: an integer, or text such as \"1MiB\" (units B, KB, KiB, MB, MiB, GB, GiB), got \"1 elephant\"",
        ),
        (
            "[http]\ncors_origins = \"*\"",
            "sluice.toml:2: http.cors_origins: expected a list of origins such as \"https://app.example.com\", or \"*\"; in the environment separated by commas, got \"*\"",
        ),
        (
            "[http]\ncors_origins = [\"*\", 5]",
            "sluice.toml:2: http.cors_origins: item 2: expected text in quotes, got 5",
        ),
        (
            "[http]\ncors_origins = [\"*\", \"https://a.example\"]",
            "sluice.toml:2: http.cors_origins: \"*\" lets in every origin: keep it alone, or leave it out",
        ),
        (
            "[gateway]\ndetail_error = \"yes\"",
            "sluice.toml:2: gateway.detail_error: expected true or false, got \"yes\"",
        ),
        (
            "[gateway]\nid = \"a\\nb\"",
            "sluice.toml:2: gateway.id: a gateway's id must not contain control characters",
        ),
        (
            "[nats]\nprefix = \"a..b\"",
            "sluice.toml:2: nats.prefix: a subject prefix is one or more tokens of A-Z, a-z, 0-9, '-' and '_' joined by dots, got \"a..b\"",
        ),
        (
            "[nats]\nurl = \"http://h:1\"",
            "sluice.toml:2: nats.url: \"http://h:1\" has the scheme \"http\"; expected nats://host:port or tls://host:port",
        ),
        (
            "[nats]\nuser = \"u\"",
            "sluice.toml:2: nats.user: stands without nats.password (or nats.password_file)",
        ),
        (
            "[nats]\npassword = \"u\"",
            "sluice.toml:2: nats.password: stands without nats.user",
        ),
        (
            "[nats]\npassword = 5",
            "sluice.toml:2: nats.password: expected text in quotes",
        ),
        (
            "[nats]\ntoken = \"t\"\nuser = \"u\"\npassword = \"p\"",
            "sluice.toml:2: nats.token: nats.user is given too: keep one way to sign in",
        ),
        (
            "[nats]\ntoken = \"t\"\ntoken_file = \"f\"",
            "sluice.toml:2: nats.token: stands here and in the file that nats.token_file names: keep one of both",
        ),
        (
            "[nats]\ntoken_file = 5",
            "sluice.toml:2: nats.token: token_file: expected the path of a file, got 5",
        ),
        (
            "[nats]\ntoken_file = \"/no/such\"",
            "sluice.toml:2: nats.token: cannot read /no/such: No such file or directory (os error 2)",
        ),
        (
            "[nats]\ncredentials = \"/no/such\"",
            "sluice.toml:2: nats.credentials: cannot read /no/such: No such file or directory (os error 2)",
        ),
        (
            "[nats]\ntls_ca = \"/\"",
            "sluice.toml:2: nats.tls_ca: / is a directory, expected a file",
        ),
        (
            "[nats]\ntls_cert = \"/dev/null\"",
            "sluice.toml:2: nats.tls_cert: stands without nats.tls_key",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:4000\"",
            "sluice.toml:2: admin.listen: 0.0.0.0:4000 collides with http.listen, 127.0.0.1:4000: the operator's port is its own",
        ),
        (
            "[registry.secrets]\nusers = \"\"",
            "sluice.toml:1: registry.secrets: the secret of \"users\" is empty",
        ),
        (
            "[registry.secrets]\nusers = 5",
            "sluice.toml:1: registry.secrets: the secret of \"users\" must be text in quotes",
        ),
        (
            "[registry]\nsecrets = \"users=abc\"",
            "sluice.toml:2: registry.secrets: expected a table of secrets, service = \"secret\"",
        ),
        (
            "[registry]\nservices = [\"\"]",
            "sluice.toml:2: registry.services: item 1: service must not be empty",
        ),
        (
            "[registry]\nexpiry_ms = 5",
            "sluice.toml:2: registry.expiry_ms: expected milliseconds, 100 to 3600000, got 5",
        ),
        (
            "[log]\nfilter = \"inof\"",
            "sluice.toml:2: log.filter: \"inof\" is no level (did you mean info?)",
        ),
        (
            "[function]\nservice = \"s\"",
            "sluice.toml:1: function: expected tables [[function]], with two brackets",
        ),
        (
            "[limit]\nname = \"a\"",
            "sluice.toml:1: limit: expected tables [[limit]], with two brackets",
        ),
        (
            "[[limit]]\nname = \"a\"\nkey = \"all\"\nmax_requests = 5\nwindow_ms = -1",
            "sluice.toml:5: limit.window_ms: expected a number from 1 to 2678400000, got -1",
        ),
        (
            "[[limit]]\nname = \"a\"\nkey = \"all\"\nmax_requests = 5\nwindow_ms = 9\nburst = 1",
            "sluice.toml:6: limit.burst: unknown field; a limit has name, service, function, key, max_requests, window_ms, cost, shadow, named_only",
        ),
        (
            "[[limit]]\nname = \"a\"\nkey = \"all\"\nmax_requests = 5\nwindow_ms = 9\n[[limit]]\nname = \"a\"\nkey = \"all\"\nmax_requests = 5\nwindow_ms = 9",
            "sluice.toml:6: limit: the limit \"a\" stands here twice",
        ),
        (
            "[limits]\non_failure = \"fail\"",
            "sluice.toml:2: limits.on_failure: expected one of \"fail_open\", \"fail_closed\", \"local\", got \"fail\"",
        ),
        (
            "[http]\nlisten = ",
            "sluice.toml:2: not valid TOML: string values must be quoted, expected literal string",
        ),
        (
            "[http]\nmax_connections = 5\nmax_connections = 6",
            "sluice.toml:3: not valid TOML: duplicate key",
        ),
    ] {
        let env = [("SLUICE_REGISTRY_OPEN", "true")];
        assert_eq!(mistakes_of(config, &env), [expected], "{config}");
    }
}

#[test]
fn options_of_redis_that_do_not_fit_each_other() {
    let mistakes = |config: &str| {
        let env = [("SLUICE_REGISTRY_OPEN", "true")];
        mistakes_of(config, &env).join("\n")
    };
    for (config, parts) in [
        (
            "[redis]\nmode = \"sentinel\"\nurl = \"redis://:hunter2@h\"\nusername = \"u\"",
            &[
                "redis.nodes: is empty in mode \"sentinel\"",
                "redis.url: stands in mode \"sentinel\"",
                "redis.master: is missing",
                "redis.username: stands without redis.password",
            ][..],
        ),
        (
            "[redis]\nnodes = [\"redis://a:1\"]\nmaster = \"m\"",
            &[
                "redis.nodes: stands in mode \"standalone\"",
                "redis.master: stands in mode \"standalone\"",
            ],
        ),
        (
            "[redis]\nurl = \"http://:hunter2@h\"",
            &["redis.url: expected redis://"],
        ),
        (
            "[redis]\nurl = \"redis://h\"\ntls_ca = \"/etc/hostname\"",
            &["redis.tls_ca: has no effect"],
        ),
        (
            "[redis]\nmode = \"many\"",
            &["expected standalone, sentinel or cluster"],
        ),
        (
            "[redis]\nprefix = \"a:b\"",
            &["redis.prefix: \"a:b\" is none"],
        ),
    ] {
        let told = mistakes(config);
        for part in parts {
            assert!(told.contains(part), "{config}: {told}");
        }
        assert!(!told.contains("hunter2"), "{told}");
    }
    let cluster = "[redis]\nmode = \"cluster\"\nnodes = [\"redis://a:1\", \"redis://b:2\"]";
    for right in ["[redis]\nurl = \"rediss://:p@h:1/2\"", cluster] {
        let loaded = load(right, &[("SLUICE_REGISTRY_OPEN", "true")]);
        assert_eq!(loaded.unwrap().warnings, []);
    }
}

#[test]
fn a_seed_must_be_a_users_and_is_never_told() {
    let account = nkeys::KeyPair::new_account().seed().unwrap();
    for seed in ["hunter2", account.as_str()] {
        let env = [("SLUICE_REGISTRY_OPEN", "true"), ("SLUICE_NATS_NKEY", seed)];
        let told = mistakes_of("", &env).join("\n");
        assert!(
            told.contains("nats.nkey") && told.contains("begins with SU"),
            "{told}"
        );
        assert!(!told.contains(seed), "{told}");
    }
}

#[test]
fn each_mistake_in_the_environment() {
    for (name, value, expected) in [
        (
            "SLUICE_HTTP_LISTEN",
            ":4000",
            "environment SLUICE_HTTP_LISTEN: http.listen: expected an IP address and a port, for example \"127.0.0.1:4000\" or \"[::]:4000\", got \":4000\"; write \"0.0.0.0:4000\"",
        ),
        (
            "SLUICE_GATEWAY_SHARDS",
            "many",
            "environment SLUICE_GATEWAY_SHARDS: gateway.shards: expected an integer, 0 to 1024, got \"many\"",
        ),
        (
            "SLUICE_LOG_JSON",
            "maybe",
            "environment SLUICE_LOG_JSON: log.json: expected true or false, got \"maybe\"",
        ),
        (
            "SLUICE_REGISTRY_SECRETS",
            "users",
            "environment SLUICE_REGISTRY_SECRETS: registry.secrets: entry 1 is not service=secret",
        ),
        (
            "SLUICE_NATS_TOKEN_FILE",
            "/no/such",
            "environment SLUICE_NATS_TOKEN_FILE: nats.token: cannot read /no/such: No such file or directory (os error 2)",
        ),
        (
            "SLUICE_NATS_PASSWORD",
            "hunter2",
            "environment SLUICE_NATS_PASSWORD: nats.password: stands without nats.user",
        ),
    ] {
        let env = [("SLUICE_REGISTRY_OPEN", "true"), (name, value)];
        assert_eq!(mistakes_of("", &env), [expected]);
    }
}

#[test]
fn a_closed_registry_wants_secrets() {
    assert_eq!(
        mistakes_of("", &[]),
        [
            "configuration: registry.secrets: no worker could register: give each service a secret, \
             or let any worker in with registry.open = true"
        ]
    );
    // What is wrong with the secrets is said; that there are none is not true.
    assert_eq!(
        mistakes_of("", &[("SLUICE_REGISTRY_SECRETS", "users")]).len(),
        1
    );
    let function = "[[function]]\nservice = \"s\"\nrequest_type = \"f\"\nsubject = \"a.b\"";
    assert!(
        load(function, &[]).is_ok(),
        "fixed functions need no worker"
    );
}

#[test]
fn services_and_secrets_agree() {
    let config = "[registry]\nservices = [\"a\", \"b\"]\n[registry.secrets]\nb = \"0123456789abcdef\"\nc = \"0123456789abcdef\"";
    assert_eq!(
        mistakes_of(config, &[]),
        [
            "sluice.toml:2: registry.services: \"a\" has no secret in registry.secrets, and registry.open is false",
            "sluice.toml:3: registry.secrets: \"c\" has a secret, and registry.services does not let it in",
        ]
    );
}

#[test]
fn all_mistakes_are_reported_at_once_in_the_order_of_the_file() {
    let config = r#"
        nonsense = 1
        [http]
        listen = "nowhere"
        max_connections = -1
        maxbody = 5
        [nats]
        prefix = ">"
        tls_key = "/no/such"
        [[function]]
        service = ""
        subject = "a.*"
        [registry]
        secrets = 5
    "#;
    let env = [("SLUICE_LOG_JSON", "x"), ("SLUICE_ADMIN_LISTEN", "x")];
    let found: Vec<String> = mistakes_of(config, &env)
        .iter()
        .map(|m| m.split(": ").take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        found,
        [
            "sluice.toml:2 nonsense",
            "sluice.toml:4 http.listen",
            "sluice.toml:5 http.max_connections",
            "sluice.toml:6 http.maxbody",
            "sluice.toml:8 nats.prefix",
            "sluice.toml:9 nats.tls_key",
            "sluice.toml:10 function.request_type",
            "sluice.toml:11 function.service",
            "sluice.toml:12 function.subject",
            "sluice.toml:14 registry.secrets",
            "environment SLUICE_ADMIN_LISTEN admin.listen",
            "environment SLUICE_LOG_JSON log.json",
        ]
    );
}

#[test]
fn a_mistake_of_syntax_hides_no_other_line() {
    let found = mistakes_of(
        "[http]\nlisten = nowhere\nmax_connections = 0\n[log]\njson = maybe",
        &[],
    );
    assert_eq!(found.len(), 3, "{found:#?}");
    for (mistake, place) in found
        .iter()
        .zip(["toml:2: not", "toml:3: http", "toml:5: not"])
    {
        assert!(mistake.contains(place), "{mistake}");
    }
}

#[test]
fn an_overridden_mistake_is_still_one() {
    let env = [
        ("SLUICE_REGISTRY_OPEN", "true"),
        ("SLUICE_HTTP_LISTEN", "127.0.0.1:1"),
    ];
    assert_eq!(mistakes_of("[http]\nlisten = \"x\"", &env).len(), 1);
}

#[test]
fn unreadable_config_files() {
    let folder = Folder::new("");
    let missing = folder.path("none.toml");
    let invalid = Config::load(Some(&missing), &Environment::default()).unwrap_err();
    assert_eq!(invalid.mistakes.len(), 1);
    assert!(invalid.to_string().contains("cannot read"), "{invalid}");
    std::fs::write(folder.path("sluice.toml"), [0xff, 0xfe]).unwrap();
    assert!(
        folder
            .load(&[])
            .unwrap_err()
            .to_string()
            .contains("not UTF-8")
    );
}

#[test]
fn doubts_are_warnings() {
    let folder =
        Folder::new("[http]\nlisten = \"0.0.0.0:1\"\n[registry]\nexpiry_ms = 6000\nopen = true");
    let env = [
        ("SLUICE_HTTP_LISTN", "x"),
        ("SLUICE_PORT", "tcp://10.0.0.1:80"),
        ("SLUICE_URL", "http://x"),
        ("SLUICE_REGISTRY_SECRETS", "users=short"),
        ("SLUICE_IDENTITY_TRUST_CLIENT_IDENTITY", "1"),
    ];
    let warnings = folder.load(&env).unwrap().warnings;
    assert_eq!(
        texts(&folder, &warnings),
        [
            "environment SLUICE_HTTP_LISTN: no option has this name (did you mean SLUICE_HTTP_LISTEN?); it is ignored",
            "environment SLUICE_PORT: no option has this name; it is ignored",
            "environment SLUICE_REGISTRY_SECRETS: registry.secrets: the secret of \"users\" is shorter than 16 bytes; make one with `openssl rand -hex 32`",
            "sluice.toml:4: registry.expiry_ms: below 12000 an instance is gone after one lost heartbeat",
            "environment SLUICE_IDENTITY_TRUST_CLIENT_IDENTITY: identity.trust_client_identity: whoever reaches 0.0.0.0:1 can claim to be any user with any role",
        ]
    );
}

#[test]
fn fixed_functions_carry_their_spec() {
    let config = r#"
        [[function]]
        service = "legacy"
        subject = "legacy.time"
        request_type = "time"
        version = "1.0.0"
        timeout = 2000
        idempotent = true
        result_schema = { type = "object" }
        [[function]]
        service = "legacy"
        subject = "legacy.time"
        request_type = "time"
        version = "2.0.0"
        headers = false
    "#;
    let functions = load(config, &[]).unwrap().config.functions;
    assert_eq!(functions.len(), 2);
    assert!(functions[0].headers && !functions[1].headers);
    assert_eq!(functions[1].to_json()["headers"], false);
    assert_eq!(functions[0].service, "legacy");
    assert_eq!(functions[0].subject, "legacy.time");
    let mut spec = serde_json::json!({
        "request_type": "time", "version": "1.0.0", "timeout": 2000,
        "idempotent": true, "result_schema": {"type": "object"},
    });
    spec.sort_all_objects();
    let mut got = functions[0].spec.clone();
    got.sort_all_objects();
    assert_eq!(got, spec);
}

#[test]
fn mistakes_of_fixed_functions_name_their_place() {
    let function = "[[function]]\nservice = \"s\"\nsubject = \"a\"\nrequest_type = \"f\"\n";
    assert_eq!(
        mistakes_of(&function.repeat(2), &[]),
        ["sluice.toml:5: function: \"f\" of \"s\" stands here twice"]
    );
    assert_eq!(
        mistakes_of(
            &format!("{function}description = nan\n"),
            &[("SLUICE_REGISTRY_OPEN", "1")]
        ),
        ["sluice.toml:5: function.description: nan has no form in JSON"]
    );
    assert_eq!(
        mistakes_of(
            &format!("{function}headers = \"no\"\n"),
            &[("SLUICE_REGISTRY_OPEN", "1")]
        ),
        ["sluice.toml:5: function.headers: expected true or false, got \"no\""]
    );
    assert_eq!(
        mistakes_of("function = [5]", &[("SLUICE_REGISTRY_OPEN", "1")]),
        ["sluice.toml:1: function: expected a table, got 5"]
    );
}

#[test]
fn mistakes_as_json_say_where() {
    let folder = Folder::new("[http]\n  lisen = 1");
    let invalid = folder.load(&[("SLUICE_LOG_JSON", "x")]).unwrap_err();
    assert_eq!(
        invalid.mistakes[0].to_json(),
        serde_json::json!({
            "file": folder.path("sluice.toml").to_str().unwrap(), "line": 2, "column": 3,
            "option": "http.lisen", "message": "unknown option (did you mean listen?)",
        })
    );
    assert_eq!(invalid.mistakes[1].to_json()["env"], "SLUICE_LOG_JSON");
}

#[test]
fn the_example_shows_every_default() {
    // An option's line is `#name = value`; prose has a space after the sign.
    let uncommented: String = docs::example()
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(option) if option.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
                option
            }
            _ => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let env = [("SLUICE_REGISTRY_OPEN", "true")];
    let mut expected = Config::default();
    expected.registry.open = true;
    let mut config = load(&uncommented, &env).unwrap().config;
    assert_eq!(config.functions.drain(..).count(), 1);
    assert_eq!(config, expected);
    for section in Config::reference() {
        for option in &section.options {
            assert!(uncommented.contains(&format!("\n{} = ", option.name)));
        }
    }
    assert!(load(&docs::example(), &env).is_ok());
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC|\n|\\[|\\]|=|\"|http|function|listen){0,80}") {
        let _ = load(&text, &[]);
    }
}
