// Written by scripts/build.mjs from the folder's file names. Do not edit.
export const protocols = {
  ipfix: () => import('./ipfix.js'),
  netflow1: () => import('./netflow1.js'),
  netflow5: () => import('./netflow5.js'),
  netflow7: () => import('./netflow7.js'),
  netflow9: () => import('./netflow9.js'),
  radius: () => import('./radius.js'),
  sflow: () => import('./sflow.js'),
}
