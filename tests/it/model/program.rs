//! Random workflows: a tree of sequences, fan-outs, branches and calls, and random edits of it.

use std::rc::Rc;

use super::rng::Rng;

/// What a call does to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// An agent that only reads.
    Ro,
    /// An agent that writes.
    Mut,
    /// A question to a person.
    Approval,
    /// A timer.
    Timer,
}

/// A node of a workflow.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) children: Vec<Rc<Node>>,
}

/// What a node does with its children.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    /// One call. `uses`: the prompt holds the previous value; `order`: it holds the last values that arrived.
    Call { prompt: String, kind: Kind, uses: bool, order: bool },
    /// One after the other.
    Seq,
    /// All at once; a throw is null.
    Par,
    /// Calls at once; the first without a value cancels the others.
    FailFast,
    /// This many items through the children.
    Pipe(usize),
    /// One of two, by the previous value.
    If,
    /// The second when the first throws or is null.
    Try,
    /// The call until its value says so, at most this often.
    Loop(usize),
    /// The first of two to end.
    Race,
    /// The call, or this many milliseconds.
    Timer(u64),
    /// A question, then the child when it is granted.
    Approve(String),
    /// The call while less than this is spent.
    Budget(u64),
    /// The call, without waiting for it.
    Unawaited,
}

impl Node {
    fn new(shape: Shape, children: Vec<Rc<Self>>) -> Rc<Self> {
        Rc::new(Self { shape, children })
    }

    /// This node and all below it.
    pub(crate) fn size(&self) -> usize {
        1 + self.children.iter().map(|c| c.size()).sum::<usize>()
    }

    /// Whether any node satisfies `test`.
    pub(crate) fn any(&self, test: &dyn Fn(&Shape) -> bool) -> bool {
        test(&self.shape) || self.children.iter().any(|c| c.any(test))
    }
}

pub(crate) fn call(prompt: &str, kind: Kind) -> Rc<Node> {
    Node::new(Shape::Call { prompt: prompt.to_owned(), kind, uses: false, order: false }, Vec::new())
}

/// A reading call.
pub(crate) fn ro(prompt: &str) -> Rc<Node> {
    call(prompt, Kind::Ro)
}

/// A writing call.
pub(crate) fn writes(prompt: &str) -> Rc<Node> {
    call(prompt, Kind::Mut)
}

/// A reading call whose prompt holds the previous value.
pub(crate) fn using(prompt: &str) -> Rc<Node> {
    Node::new(Shape::Call { prompt: prompt.to_owned(), kind: Kind::Ro, uses: true, order: false }, Vec::new())
}

/// A reading call whose prompt holds the last values that arrived.
pub(crate) fn ordered(prompt: &str) -> Rc<Node> {
    Node::new(Shape::Call { prompt: prompt.to_owned(), kind: Kind::Ro, uses: false, order: true }, Vec::new())
}

pub(crate) fn node(shape: Shape, children: impl Into<Vec<Rc<Node>>>) -> Rc<Node> {
    Node::new(shape, children.into())
}

pub(crate) fn seq(children: impl Into<Vec<Rc<Node>>>) -> Rc<Node> {
    Node::new(Shape::Seq, children.into())
}

pub(crate) fn par(children: impl Into<Vec<Rc<Node>>>) -> Rc<Node> {
    Node::new(Shape::Par, children.into())
}

struct Gen {
    rng: Rng,
    calls: usize,
}

impl Gen {
    fn call(&mut self) -> Rc<Node> {
        self.calls += 1;
        let prompt = if self.rng.chance(45) {
            self.rng.pick(&["a", "b", "c", "d", "e"]).to_owned()
        } else {
            format!("u{}", self.calls)
        };
        let kind = if self.rng.chance(25) { Kind::Mut } else { Kind::Ro };
        let (uses, order) = (self.rng.chance(40), self.rng.chance(12));
        Node::new(Shape::Call { prompt, kind, uses, order }, Vec::new())
    }

    fn nodes(&mut self, depth: usize, low: usize, high: usize) -> Vec<Rc<Node>> {
        (0..self.rng.range(low, high)).map(|_| self.node(depth - 1)).collect()
    }

    fn node(&mut self, depth: usize) -> Rc<Node> {
        if depth == 0 || self.rng.chance(20) {
            return self.call();
        }
        match self.rng.below(14) {
            0 | 1 => Node::new(Shape::Seq, self.nodes(depth, 2, 3)),
            2 | 3 => Node::new(Shape::Par, self.nodes(depth, 2, 4)),
            4 => {
                let items = self.rng.range(2, 4);
                Node::new(Shape::Pipe(items), self.nodes(depth, 1, 3))
            }
            5 => Node::new(Shape::If, self.nodes(depth, 2, 2)),
            6 => Node::new(Shape::Try, self.nodes(depth, 2, 2)),
            7 => Node::new(Shape::Loop(self.rng.range(2, 4)), vec![self.call()]),
            8 => Node::new(Shape::Race, self.nodes(depth, 2, 2)),
            9 => Node::new(Shape::Budget(self.rng.range(2, 6) as u64), vec![self.call()]),
            10 => Node::new(Shape::Unawaited, vec![self.call()]),
            11 => Node::new(Shape::Timer(self.rng.pick(&[10, 50])), vec![self.call()]),
            12 => {
                let calls = (0..self.rng.range(2, 4)).map(|_| self.call()).collect();
                Node::new(Shape::FailFast, calls)
            }
            _ => {
                self.calls += 1;
                Node::new(Shape::Approve(format!("ok{}", self.calls)), self.nodes(depth, 1, 1))
            }
        }
    }
}

/// The workflow of a seed.
pub(crate) fn generate(seed: u64, depth: usize) -> Rc<Node> {
    let mut generator = Gen { rng: Rng::new(seed), calls: 0 };
    let count = generator.rng.range(1, 3);
    Node::new(Shape::Seq, (0..count).map(|_| generator.node(depth)).collect())
}

/// The same workflow after one or two small changes.
pub(crate) fn edit(program: &Rc<Node>, rng: &mut Rng) -> Rc<Node> {
    let mut program = program.clone();
    for _ in 0..rng.range(1, 2) {
        let mut place = rng.below(program.size());
        edit_at(&mut program, &mut place, rng);
    }
    program
}

/// Edits the node `place` steps on in preorder; true when that was below `node`.
fn edit_at(node: &mut Rc<Node>, place: &mut usize, rng: &mut Rng) -> bool {
    let node = Rc::make_mut(node);
    if *place > 0 {
        *place -= 1;
        return node.children.iter_mut().any(|child| edit_at(child, place, rng));
    }
    let what = rng.below(100);
    match &mut node.shape {
        Shape::Call { prompt, .. } => {
            let new = format!("edited{}", rng.below(10));
            rng.pick(&[new.as_str(), "a", "b"]).clone_into(prompt);
        }
        Shape::Seq | Shape::Par if what < 35 => {
            let at = rng.below(node.children.len() + 1);
            node.children.insert(at, ro(rng.pick(&["new1", "a"])));
        }
        Shape::Seq | Shape::Par if what < 70 && node.children.len() > 1 => {
            let at = rng.below(node.children.len());
            node.children.remove(at);
        }
        Shape::Seq | Shape::Par => rng.shuffle(&mut node.children),
        Shape::FailFast
        | Shape::Pipe(_)
        | Shape::If
        | Shape::Try
        | Shape::Loop(_)
        | Shape::Race
        | Shape::Timer(_)
        | Shape::Approve(_)
        | Shape::Budget(_)
        | Shape::Unawaited => {}
    }
    true
}
