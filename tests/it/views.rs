//! Reply shapes: the keys and their order are fixed; what is unknown is absent.
#![expect(clippy::unwrap_used, reason = "tests")]

use owf::core::event::{Event, EventRecord, LogLevel};
use owf::core::failure::{Code, Failure};
use owf::core::run::RunStatus;
use owf::core::time::Millis;
use owf::engine::params::output_schema;
use owf::engine::view::{
    ApprovalRow, CallRow, DryRunView, ErrorView, EventView, OutputView, RunRow, RunView, ValidateView,
};
use schemars::JsonSchema;
use serde_json::json;

fn keys<T: JsonSchema>() -> String {
    let schema = output_schema::<T>();
    let required: Vec<_> = schema["required"].as_array().unwrap().iter().map(|k| k.as_str().unwrap()).collect();
    let properties = schema["properties"].as_object().unwrap();
    let list: Vec<_> =
        properties.keys().map(|k| if required.contains(&k.as_str()) { k.clone() } else { format!("{k}?") }).collect();
    list.join(" ")
}

#[test]
fn the_keys_of_the_main_replies_stand_in_the_agreed_order() {
    assert_eq!(
        keys::<RunView>(),
        "run_id status status_reason? simulated warnings? error? approvals? output? outline? output_bytes? counts gaps? \
         gaps_total? swallowed? worktrees? phases? usage budget? reuse? calls? logs? resumed? resumed_from? \
         parent_run_id? joined? created_at? cancel_requested? decision? woke? waited_ms? elapsed_ms run? run_dir? \
         script_path? truncated? next next_cursor"
    );
    assert_eq!(
        keys::<CallRow>(),
        "call_id call_index kind label status phase? cache_status? provider? model? attempts input_tokens? \
         output_tokens? usage_unknown? cost_usd? cost_source? prices_as_of? duration_ms? started_at? error? child_run_id?"
    );
    assert_eq!(
        keys::<RunRow>(),
        "run_id id status status_reason? workflow_name provider model? simulated created_at started_at? completed_at? \
         elapsed_ms calls failed cost_usd? cost_source pending_approvals script_path? started_by parent_run_id? \
         resumed_from?"
    );
    assert_eq!(
        keys::<ApprovalRow>(),
        "approval_id run_id call_id kind message metadata? content_hash decider state created_at expires_at? \
         on_timeout? approve_means deny_means decided_at? decided_via? reason?"
    );
    assert_eq!(
        keys::<ValidateView>(),
        "ok error? script_path? script_hash size_bytes kind workflow? agent_sites args_read providers_named? \
         diagnostics next"
    );
    assert_eq!(
        keys::<DryRunView>(),
        "outcome error? runtime_version script_path? script_hash workflow provider? model? args? budget? calls_total \
         sites_total sites_reached unreached? args_read args_missing phases fan_outs? calls estimate reuse? providers \
         swallowed warnings? truncated next"
    );
    assert_eq!(
        keys::<OutputView>(),
        "run_id status simulated has_output output? output_text? offset? returned_bytes? size_bytes? truncated \
         next_offset? outline? pointer? file_path? next"
    );
}

#[test]
fn a_bare_run_view_has_only_the_fixed_keys_and_no_null() {
    let view = RunView::new("20260528-143201-k7q2mvx4".parse().unwrap(), RunStatus::Running);
    assert_eq!(
        serde_json::to_string(&view).unwrap(),
        concat!(
            r#"{"run_id":"20260528-143201-k7q2mvx4","status":"running","simulated":false,"#,
            r#""counts":{"total":0,"queued":0,"running":0,"done":0,"failed":0,"cancelled":0,"skipped":0,"denied":0,"replayed":0,"hit":0},"#,
            r#""usage":{"input_tokens":0,"output_tokens":0,"cache_read_tokens":0,"cache_write_tokens":0,"cost_source":"unknown"},"#,
            r#""elapsed_ms":0,"next":"","next_cursor":"0"}"#
        )
    );
    let mut null = view.clone();
    null.output = Some(json!(null));
    let text = serde_json::to_string(&null).unwrap();
    assert!(text.contains(r#""output":null"#), "a returned null is a value");
    assert_eq!(serde_json::from_str::<RunView>(&text).unwrap(), null);
}

#[test]
fn an_event_line_has_its_facts_below_data() {
    let record = EventRecord {
        seq: 7,
        at: Millis(1_779_978_721_204),
        event: Event::Log { level: LogLevel::Info, message: "hi".to_owned(), fields: None },
    };
    assert_eq!(
        serde_json::to_string(&EventView::from(&record)).unwrap(),
        r#"{"seq":7,"at":"2026-05-28T14:32:01.204Z","type":"log","data":{"level":"info","message":"hi"}}"#
    );
}

#[test]
fn a_failure_shows_its_code_message_and_hint() {
    let failure = Failure::new(Code::ProviderUnavailable, "no").hint("yes").allowed(["fake"]);
    assert_eq!(
        serde_json::to_value(ErrorView::from(&failure)).unwrap(),
        json!({ "code": "provider_unavailable", "message": "no", "hint": "yes", "allowed": ["fake"] })
    );
}
