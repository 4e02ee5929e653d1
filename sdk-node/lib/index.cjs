"use strict";
// The package. `index.mjs` gives out the same objects, so that there is one copy of each class.

const { Batcher } = require("./batcher.cjs");
const { CustomerClient, FastnClient, createFastnClient } = require("./client.cjs");
const errors = require("./errors.cjs");
const { byCode, ...coded } = require("./generated/errors.cjs");
const { Pager } = require("./pager.cjs");
const { verifyWebhook } = require("./webhook.cjs");

module.exports = { createFastnClient, verifyWebhook, FastnClient, CustomerClient, Batcher, Pager, ...errors, ...coded };
