//! Tests of the configuration.

use super::*;

#[test]
fn a_flag_goes_before_the_file_and_the_file_before_the_default() {
    let dir = std::env::temp_dir().join(format!("wfldb-config-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("wfldb.toml");
    std::fs::write(
        &path,
        "listen = \"127.0.0.1:1\"\nmin-free = 7\nlog = \"json\"\ndanger-metrics = true\n",
    )
    .unwrap();
    let flags = Flags {
        listen: Some("127.0.0.1:2".parse().unwrap()),
        config: Some(path.clone()),
        ..Flags::default()
    };
    let config = Config::merge(flags).unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(
        (config.min_free_bytes, config.log, config.danger_metrics),
        (7, LogForm::Json, true)
    );
    assert_eq!(
        (config.metrics_listen.port(), config.danger_plaintext),
        (9464, false)
    );
    assert_eq!(config.data, Path::new("./wfldb-data"));

    std::fs::write(&path, "lisen = \"127.0.0.1:1\"\n").unwrap();
    let flags = Flags {
        config: Some(path),
        ..Flags::default()
    };
    assert!(matches!(Config::merge(flags), Err(ConfigError::Parse { .. })));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn values_are_checked() {
    let client = wfldb_core::id::SecretKey::from_seed([1; 32]).key_id(Role::Client);
    for flags in [
        Flags {
            realm: Some("No".to_owned()),
            ..Flags::default()
        },
        Flags {
            trust: Some(vec![client.to_string()]),
            ..Flags::default()
        },
        Flags {
            trust: Some(vec!["wr1".to_owned()]),
            ..Flags::default()
        },
        Flags {
            skew_past: Some(301),
            ..Flags::default()
        },
        Flags {
            tls_key: Some(PathBuf::from("key.pem")),
            ..Flags::default()
        },
        Flags {
            tls_cert: Some(PathBuf::from("cert.pem")),
            ..Flags::default()
        },
        Flags {
            tls_client_ca: Some(PathBuf::from("ca.pem")),
            ..Flags::default()
        },
        Flags {
            connections_per_address: Some(0),
            ..Flags::default()
        },
        Flags {
            connections_per_address: Some(4097),
            ..Flags::default()
        },
    ] {
        assert!(Config::merge(flags).is_err());
    }
}

#[test]
fn every_flag_is_understood() {
    let flags = Flags::try_parse_from([
        "wfldb-server",
        "--data",
        "d",
        "--listen",
        "[::1]:0",
        "--danger-plaintext",
        "--danger-metrics=false",
        "--log",
        "json",
        "--compression",
        "off",
        "--tls-cert",
        "c",
        "--tls-key",
        "k",
        "--tls-client-ca",
        "a",
        "--connections-per-address",
        "8",
    ])
    .unwrap();
    assert_eq!(
        (flags.danger_plaintext, flags.danger_metrics, flags.log),
        (Some(true), Some(false), Some(LogForm::Json))
    );
    assert_eq!(flags.compression, Some(Switch::Off));
    let config = Config::merge(flags).unwrap();
    assert_eq!(
        (config.compression, config.connections_per_address.get()),
        (Switch::Off, 8)
    );
    let tls = config.tls.unwrap();
    assert_eq!((tls.cert, tls.key), (PathBuf::from("c"), PathBuf::from("k")));
    assert_eq!(tls.client_ca, Some(PathBuf::from("a")));
    assert_eq!(Config::merge(Flags::default()).unwrap().compression, Switch::On);
    let mirror = |flags: &[&str]| {
        let flags = ["wfldb-server"].iter().chain(flags);
        Config::merge(Flags::try_parse_from(flags).unwrap())
            .unwrap()
            .mirror
    };
    assert_eq!(mirror(&[]), MirrorPlace::Data);
    assert_eq!(mirror(&["--mirror", "m"]), MirrorPlace::Dir(PathBuf::from("m")));
    assert_eq!(mirror(&["--no-mirror", "--mirror", "m"]), MirrorPlace::None);
    assert!(Flags::try_parse_from(["wfldb-server", "--no-such-flag"]).is_err());
}
