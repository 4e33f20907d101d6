//! Transactions: what a request asks of one and its answer, as JSON. Server and client use the same functions.

mod answer;
mod op;
mod request;

pub use answer::{TxAnswer, TxBucket, TxItem, TxResult, TxWrite};
pub use op::{TxAction, TxOp};
pub use request::TxRequest;

/// A request to a transaction that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Not one, or an operation that is not one.
    #[error("not a request to a transaction: unknown or missing members, or a value that is not valid")]
    Malformed,
    /// More than 1000 operations, or none where there have to be some.
    #[error("a request to a transaction has 1 to 1000 operations")]
    Ops,
    /// More than 8 MiB.
    #[error("a request to a transaction has at most 8 MiB")]
    TooLarge,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use wfldb_core::limits::BATCH_BYTES_MAX;

    use super::*;

    const ID: &str = "00112233445566778899aabbccddeeff";

    /// Defects it catches: a member that is passed over; a number out of bounds; an id in another spelling.
    #[test]
    fn what_is_no_request_is_refused() {
        let good = [
            r#"{"do":"begin"}"#.to_owned(),
            r#"{"do":"begin","idle_ms":1000,"ops":[]}"#.to_owned(),
            format!(r#"{{"do":"run","tx":"{ID}","ops":[{{"op":"get","bucket":"aaa","key":"k"}}]}}"#),
            format!(r#"{{"do":"commit","tx":"{ID}"}}"#),
            format!(r#"{{"do":"abort","tx":"{ID}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"ä"}}"#),
            format!(r#"{{"do":"rollback","tx":"{ID}","to":"a"}}"#),
        ];
        for json in &good {
            let request = TxRequest::parse(json.as_bytes()).unwrap();
            assert_eq!(TxRequest::parse(&request.to_json()), Ok(request));
        }
        let long = "x".repeat(65);
        let bad = [
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"do":"begin","do":"begin"}"#.to_owned(),
            r#"{"do":"begin","more":1}"#.to_owned(),
            r#"{"do":"begin","idle_ms":999}"#.to_owned(),
            r#"{"do":"begin","idle_ms":300001}"#.to_owned(),
            r#"{"do":"begin","idle_ms":-1}"#.to_owned(),
            format!(r#"{{"do":"begin","tx":"{ID}"}}"#),
            r#"{"do":"commit"}"#.to_owned(),
            format!(r#"{{"do":"commit","tx":"{}"}}"#, ID.to_uppercase()),
            format!(r#"{{"do":"commit","tx":"{ID}0"}}"#),
            r#"{"do":"commit","tx":"../../etc/passwd"}"#.to_owned(),
            format!(r#"{{"do":"commit","tx":"{ID}","idle_ms":1000}}"#),
            format!(r#"{{"do":"abort","tx":"{ID}","ops":[]}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":""}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"{long}"}}"#),
            format!(r#"{{"do":"savepoint","tx":"{ID}","name":"a\nb"}}"#),
            format!(r#"{{"do":"rollback","tx":"{ID}","name":"a"}}"#),
        ];
        for json in &bad {
            assert_eq!(
                TxRequest::parse(json.as_bytes()),
                Err(TxError::Malformed),
                "{json}"
            );
        }
        let run = |ops: &str| format!(r#"{{"do":"run","tx":"{ID}","ops":[{ops}]}}"#);
        for op in [
            r#"{"op":"get","bucket":"aaa"}"#,
            r#"{"op":"get","bucket":"aaa","key":""}"#,
            r#"{"op":"get","bucket":"AAA","key":"k"}"#,
            r#"{"op":"get","bucket":"aaa","key":"k","key":"l"}"#,
            r#"{"op":"get","bucket":"aaa","key":"k","body":""}"#,
            r#"{"op":"scan","bucket":"aaa","key":"k"}"#,
            r#"{"op":"scan","bucket":"aaa","limit":0}"#,
            r#"{"op":"scan","bucket":"aaa","limit":1001}"#,
            r#"{"op":"scan","bucket":"aaa","after":"\u0000"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":1}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"","mode":"shared"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"","body_base64":""}"#,
            r#"{"op":"delete","bucket":"aaa","key":"k","body":""}"#,
            r#"{"op":"check","bucket":"aaa","key":"k"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"Shared"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"shared","wait_ms":60001}"#,
            r#"["get","aaa","k"]"#,
        ] {
            assert_eq!(
                TxRequest::parse(run(op).as_bytes()),
                Err(TxError::Malformed),
                "{op}"
            );
        }
        assert_eq!(TxRequest::parse(run("").as_bytes()), Err(TxError::Ops));
        let many = vec![r#"{"op":"get","bucket":"aaa","key":"k"}"#; 1001].join(",");
        assert_eq!(TxRequest::parse(run(&many).as_bytes()), Err(TxError::Ops));
        let huge = vec![b' '; BATCH_BYTES_MAX + 1];
        assert_eq!(TxRequest::parse(&huge), Err(TxError::TooLarge));
    }

    /// A defect it catches: a member that one side writes and the other does not read.
    #[test]
    fn operations_are_read_back() {
        let ops = [
            r#"{"op":"get","bucket":"aaa","key":"k"}"#,
            r#"{"op":"scan","bucket":"aaa","prefix":"a/","after":"a/b","before":"a/x","limit":7}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":"ä","content_type":"text/plain","tags":{"a":"b"},"if_none_match":"*"}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body":{"a":[1,{"b":null}]},"tags":{"a":"b"}}"#,
            r#"{"op":"put","bucket":"aaa","key":"k","body_base64":"AP8","if_version":"01JGFJJZ00AAAAAAAAAAAAAAAA"}"#,
            r#"{"op":"delete","bucket":"aaa","key":"k","if_match":"*"}"#,
            r#"{"op":"lock","bucket":"aaa","key":"k","mode":"exclusive","wait_ms":0}"#,
        ];
        let json = format!(r#"{{"do":"commit","tx":"{ID}","ops":[{}]}}"#, ops.join(","));
        let request = TxRequest::parse(json.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(request.to_json()).unwrap(), json);
        let body = Bytes::from_static(&[0, 255]);
        let result = TxResult::default().with_body(&body);
        assert_eq!(result.bytes(), Some(body));
    }
}
