//! Random scenarios: each is its seed and depth.

use super::lineage::scenario;

/// Scenarios of the test suite. The rules were found with more; raise it for a longer search.
const SCENARIOS: u64 = 3000;

#[test]
fn random_workflows_survive_crashes_edits_and_resumes() {
    let mut found = Vec::new();
    for seed in 0..SCENARIOS {
        let depth = 1 + (seed % 3) as usize;
        // A shallower program of the same seed is easier to read.
        let Some((depth, (program, violation))) =
            scenario(seed, depth).err().map(|found| (depth, found)).map(|found| shrink(seed, found))
        else {
            continue;
        };
        found.push((program.size(), seed, depth, violation, program));
    }
    found.sort_by_key(|(size, seed, ..)| (*size, *seed));
    let report: Vec<String> = found
        .iter()
        .take(3)
        .map(|(size, seed, depth, violation, program)| {
            format!("scenario({seed}, {depth}), {size} nodes, [{}] {}\n{program:?}", violation.rule, violation.message)
        })
        .collect();
    assert!(found.is_empty(), "{} of {SCENARIOS} scenarios break a rule:\n{}", found.len(), report.join("\n\n"));
}

type Found = (usize, (std::rc::Rc<super::program::Node>, super::setting::Violation));

fn shrink(seed: u64, found: Found) -> Found {
    let shallower = (1..found.0).find_map(|depth| scenario(seed, depth).err().map(|found| (depth, found)));
    shallower.unwrap_or(found)
}
