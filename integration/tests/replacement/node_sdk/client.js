// A client made of Fabric's Node SDK: submits envelopes to one orderer, has the chain from another, and prints what is in it.
//
// One argument, JSON: channel, count, broadcast and deliver (grpcs:// addresses), tlsCa, certificate, key (paths), mspId.
// The output is one line of JSON for each block: number, dataHash and previousHash in hex, transactions (ids). It ends
// when it has seen all that it submitted.
'use strict';

const fs = require('fs');
const { Client, Eventer, User } = require('fabric-common');
const { common, orderer, protos, services } = require('fabric-protos');

// The SDK has blocks from peers only. An orderer serves the same messages under another name.
class OrdererEventer extends Eventer {
    constructor(name, client, mspId) {
        super(name, client, mspId);
        this.serviceClass = services.orderer.AtomicBroadcast;
    }
}

async function main(settings) {
    const read = (path) => fs.readFileSync(path, 'utf8');
    const user = User.createUser('user', '', settings.mspId, read(settings.certificate), read(settings.key));
    const client = Client.newClient('client');
    const channel = client.newChannel(settings.channel);
    const endpoint = (url) => client.newEndpoint({ url, pem: read(settings.tlsCa) });
    const identity = () => client.newIdentityContext(user).calculateTransactionId();

    const committer = client.newCommitter('orderer', settings.mspId);
    await committer.connect(endpoint(settings.broadcast));
    const wanted = new Set();
    for (let i = 0; i < settings.count; i++) {
        const somebody = identity();
        const answer = await committer.sendBroadcast(signedTransaction(channel, somebody));
        if (answer.status !== 'SUCCESS') {
            throw new Error(`Broadcast: ${answer.status} ${answer.info}`);
        }
        wanted.add(somebody.transactionId);
    }

    const eventer = new OrdererEventer('orderer', client, settings.mspId);
    await eventer.connect(endpoint(settings.deliver));
    const service = channel.newEventService('blocks');
    const reader = identity();
    service.build(reader, { startBlock: 0, blockType: 'full' });
    service.sign(reader);
    const finished = new Promise((resolve, reject) => {
        service.registerBlockListener((error, event) => {
            if (error) {
                return reject(error);
            }
            const transactions = print(event.block);
            transactions.forEach((id) => wanted.delete(id));
            return wanted.size === 0 && resolve();
        });
    });
    await service.send({ targets: [eventer] });
    await finished;
    service.close();
    committer.disconnect();
}

/** An endorser transaction without actions. */
function signedTransaction(channel, identity) {
    const encode = (kind, fields) => kind.encode(kind.create(fields)).finish();
    const type = common.HeaderType.ENDORSER_TRANSACTION;
    const header = {
        channel_header: channel.buildChannelHeader(type, 'none', identity.transactionId),
        signature_header: encode(common.SignatureHeader, { creator: identity.serializeIdentity(), nonce: identity.nonce }),
    };
    const payload = encode(common.Payload, { header, data: encode(protos.Transaction, { actions: [] }) });
    return { payload, signature: Buffer.from(identity.sign(payload)) };
}

function print(block) {
    const { number, data_hash: dataHash, previous_hash: previousHash } = block.header;
    const transactions = block.data.data.map((envelope) => envelope.payload.header.channel_header.tx_id);
    const hex = (bytes) => Buffer.from(bytes).toString('hex');
    const line = { number: Number(number), dataHash: hex(dataHash), previousHash: hex(previousHash), transactions };
    console.log(JSON.stringify(line));
    return transactions;
}

main(JSON.parse(process.argv[2])).then(
    () => process.exit(0),
    (error) => {
        console.error(error);
        process.exit(1);
    },
);
