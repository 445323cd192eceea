//! Every rule of the protocol that a model can drop. All on is the protocol; a counter-example is sought with one off.

/// Which rules are kept. Each field is one sentence of the protocol; `false` is the mistake that somebody made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    // Votes and certificates.
    /// A quorum is counted over distinct replicas; otherwise over messages, and a liar repeats its own.
    pub voters_are_distinct: bool,
    /// The votes of a certificate are of one epoch; otherwise (replica, epoch) pairs are counted.
    pub votes_are_of_one_epoch: bool,
    /// A certificate shown in a collect is weighed like the votes of the normal phase; otherwise heads are counted.
    pub certificates_are_weighed: bool,
    /// The epoch is under the votes' signatures; otherwise a certificate passes for one of any epoch.
    pub epoch_is_signed: bool,
    /// The instance is under the votes' signatures; otherwise a certificate passes for one of any instance.
    pub instance_is_signed: bool,
    /// The message type is under the votes' signatures; otherwise a WRITE certificate passes for a proof.
    pub type_is_signed: bool,

    // Selection.
    /// A decision in a collect needs its proof; otherwise whoever claims one is believed.
    pub decision_is_proven: bool,
    /// A STOPDATA counts for the regency it was signed for; otherwise an old one can be replayed.
    pub stopdata_is_bound: bool,
    /// Certificates of epochs at or beyond the regency being entered are refused.
    pub epoch_is_bounded: bool,
    /// One certificate among the collects binds; otherwise a quorum of heads that report nothing outvotes it.
    pub one_certificate_binds: bool,
    /// "No certificate" differs from "a certificate of epoch 0".
    pub nothing_is_not_epoch_zero: bool,
    /// Every replica recomputes the choice; otherwise the leader's word is taken.
    pub choice_is_recomputed: bool,
    /// Collects cover the whole window; otherwise the first open instance alone, as in the thesis.
    pub window_is_reported: bool,
    /// A bound batch is proposed again even when its requests were ordered in the meantime.
    pub bound_is_exempt: bool,
    /// A no-op batch fills a gap that no request is left for.
    pub gaps_are_filled: bool,
    /// What was delivered before is skipped at delivery.
    pub repeats_are_skipped: bool,

    // Regency change.
    /// After STOPDATA for a regency nothing of an older one is accepted or signed.
    pub left_is_left: bool,
    /// A replica joins a STOP at `f + 1` heads; otherwise at one.
    pub stop_needs_a_correct_head: bool,
    /// A replica joins a STOP that `f + 1` heads ask for; otherwise its own timer must expire.
    pub stop_is_amplified: bool,

    // Durability.
    /// A WRITE is durable before it leaves.
    pub write_is_durable: bool,
    /// A WRITE certificate is durable before the ACCEPT that follows from it leaves.
    pub certificate_is_durable: bool,
    /// A PROPOSE is durable before it leaves.
    pub propose_is_durable: bool,
    /// A WRITE waits until the bodies are durable; otherwise until they are in memory.
    pub body_is_durable: bool,
    /// `Held` is answered when the body is durable; otherwise when it is in memory.
    pub held_means_durable: bool,
    /// SUCCESS needs `f + 1` answers; otherwise one.
    pub success_needs_a_correct_head: bool,

    // Blocks.
    /// Tentative signatures only where every set of signers that satisfies the block policy is a quorum.
    pub tentative_needs_strong_policy: bool,
    /// Tentative signatures only for instances that no regency change has carried over.
    pub tentative_is_first_regency: bool,
    /// The signed value of a block names the instance that made it.
    pub block_names_its_instance: bool,
    /// The signed value of a block is a function of the decided sequence; otherwise it names the signer's regency.
    pub block_names_no_regency: bool,

    // Clients.
    /// The window's low edge is the lowest request not yet ordered; otherwise it follows the highest ordered one.
    pub window_waits_for_lowest: bool,

    // Succession.
    /// A group's id covers its incarnation; otherwise a set that returns has its old id.
    pub incarnation_is_in_id: bool,
    /// A moved channel is closed in the old group; otherwise its requests are still executed there.
    pub moved_is_closed: bool,
    /// A new group opens on a quorum of identical asks; otherwise on one.
    pub opening_needs_a_quorum: bool,
    /// The opening command carries what was ordered; otherwise the new group starts with empty windows.
    pub windows_are_carried: bool,
}

impl Rules {
    /// The protocol.
    pub const ALL: Self = Self {
        voters_are_distinct: true,
        votes_are_of_one_epoch: true,
        certificates_are_weighed: true,
        epoch_is_signed: true,
        instance_is_signed: true,
        type_is_signed: true,
        decision_is_proven: true,
        stopdata_is_bound: true,
        epoch_is_bounded: true,
        one_certificate_binds: true,
        nothing_is_not_epoch_zero: true,
        choice_is_recomputed: true,
        window_is_reported: true,
        bound_is_exempt: true,
        gaps_are_filled: true,
        repeats_are_skipped: true,
        left_is_left: true,
        stop_needs_a_correct_head: true,
        stop_is_amplified: true,
        write_is_durable: true,
        certificate_is_durable: true,
        propose_is_durable: true,
        body_is_durable: true,
        held_means_durable: true,
        success_needs_a_correct_head: true,
        tentative_needs_strong_policy: true,
        tentative_is_first_regency: true,
        block_names_its_instance: true,
        block_names_no_regency: true,
        window_waits_for_lowest: true,
        incarnation_is_in_id: true,
        moved_is_closed: true,
        opening_needs_a_quorum: true,
        windows_are_carried: true,
    };
}
