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
    let client = wfldb_core::id::SecretKey::from_seed([1; 32]).key_id(wfldb_core::id::Role::Client);
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
    ])
    .unwrap();
    assert_eq!(
        (flags.danger_plaintext, flags.danger_metrics, flags.log),
        (Some(true), Some(false), Some(LogForm::Json))
    );
    assert_eq!(flags.compression, Some(Switch::Off));
    assert_eq!(Config::merge(flags).unwrap().compression, Switch::Off);
    assert_eq!(Config::merge(Flags::default()).unwrap().compression, Switch::On);
    assert!(Flags::try_parse_from(["wfldb-server", "--no-such-flag"]).is_err());
}
