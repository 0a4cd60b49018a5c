# bash completion for darta. Written by scripts/docs.mjs from the definitions of the commands. Do not edit.
_darta_takes_value() {
  case $1 in
    aggregate) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -c --count -f --filter -F --filter-file -t --time-range --units --time --bigint -A --keys -s --statistic -O --order -k --top --bin --distribution --sum --min --max --mean --distinct --approx-distinct --quantile --max-memory --metrics ' == *" $2 "* ]] ;;
    analyze) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress --window --slide --lateness --max-memory -f --filter -F --filter-file -t --time-range --engine --replicas --engine-size --engine-ca --engine-credentials --units --exec --feed --key --metrics --min-contacts --jitter --min-interval --min-rate --factor --min-sources --bin --min-matched --by --deviations --side --share --src-prefix --dst-prefix --src-prefix6 --dst-prefix6 -k --top --min-failed --min-clients -s --statistic --rating ' == *" $2 "* ]] ;;
    anonymize) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -f --filter -F --filter-file -t --time-range --units --time --bigint -c --count --method --key-file --key-agent --bits --ports --time-shift --time-precision --policy --metrics ' == *" $2 "* ]] ;;
    capture) [[ ' -r --read -i --interface -f --filter --backend -s --snaplen -B --buffer --threads --share --by --share-seed --begin --stats-interval -u --user -g --user-group --group --node --weight --shadow --shadow-memory --leave-wait --report --tls-cert --tls-key --tls-ca --tls-peer -w --write -o --output -z --compress --emit --key -T --timeouts --active-timeout --idle-timeout --timeout --precision --fields --section --max-memory --max-flows --on-full -c --count --seed --odid --record-filter -F --filter-file --meter --metrics ' == *" $2 "* ]] ;;
    collect) [[ ' -r --read -b --bind -p --port -B --buffer --allow --tls-cert --tls-key --tls-ca --tls-peer --decode-as --input-format --template-lifetime --template-cache --sampling --max-sessions --max-new --journal -w --write -G --rotate --rotate -C --rotate-size -W --files -S --layout -x --exec -I --ident -o --output -z --compress -c --count --metrics ' == *" $2 "* ]] ;;
    doctor) [[ ' --offered --nodes --times --cores --application-cost -o --output --metrics ' == *" $2 "* ]] ;;
    enrich) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -f --filter -F --filter-file -t --time-range --units --time --bigint -c --count --country --city --as --labels --resolver --names-wait --names-at-once --names-cache --metrics ' == *" $2 "* ]] ;;
    filter) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -f --filter -F --filter-file -t --time-range --units --time --bigint --fail -c --max-count --options --metrics ' == *" $2 "* ]] ;;
    ie) [[ ' --type --range --status --map -o --output --metrics ' == *" $2 "* ]] ;;
    info) [[ ' -r --read -R --read-range --input-format -f --filter -F --filter-file -t --time-range -o --output --metrics ' == *" $2 "* ]] ;;
    ipfix-export) [[ ' -r --read -R --read-range --input-format --rate --replay --as --max-message --template-refresh --reconnect --linger --stall --loss-report --queue --spill --spill-size --tls-cert --tls-key --tls-ca --tls-peer --metrics ' == *" $2 "* ]] ;;
    print) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -c --count -O --order -f --filter -F --filter-file -t --time-range --units --time --bigint --metrics ' == *" $2 "* ]] ;;
    route) [[ ' -r --read -R --read-range --input-format -f --filter -F --filter-file -t --time-range --app --key --name --exec --to --units --weights --seed --engine --replicas --engine-size --engine-ca --engine-credentials --window --lateness --parts --remove --hook --engine-roles --tenant --explain -c --count -o --output -w --write --tls-cert --tls-key --tls-ca --tls-peer --metrics ' == *" $2 "* ]] ;;
    set) [[ ' -r --read -R --read-range --input-format -w --write -z --compress -f --filter -F --filter-file -t --time-range --of --intersect --subtract --networks -o --output --contains --max-memory --metrics ' == *" $2 "* ]] ;;
    sort) [[ ' -r --read -R --read-range --input-format -w --write -o --output -z --compress -f --filter -F --filter-file -t --time-range --units --time --bigint -O --order --ignore -c --count --max-memory --metrics ' == *" $2 "* ]] ;;
    split) [[ ' -r --read --parts --weights --match --by --share-seed -w --write --exec --to -G --rotate -C --rotate-size -W --rotate-files -z --compress -x --hook -f --filter -F --filter-file -t --time-range -o --output --print-filter --as --coordinate --redundancy --ttl --guard --status --verify --tls-cert --tls-key --tls-ca --tls-peer --metrics ' == *" $2 "* ]] ;;
    user-map) [[ ' --source --cgroup -r --read --users --nat --slack --interval -c --count --ledger --head --spool --interim --idle --identity --realm --destination-realm --reconnect --linger --watchdog --tls-cert --tls-key --tls-ca --tls-peer --units -w --write -o --output -z --compress --metrics ' == *" $2 "* ]] ;;
    *) return 1 ;;
  esac
}

_darta() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' position=1 before='' i word
  local elements='octetDeltaCount packetDeltaCount deltaFlowCount protocolIdentifier ipClassOfService tcpControlBits sourceTransportPort sourceIPv4Address sourceIPv4PrefixLength ingressInterface destinationTransportPort destinationIPv4Address destinationIPv4PrefixLength egressInterface ipNextHopIPv4Address bgpSourceAsNumber bgpDestinationAsNumber bgpNextHopIPv4Address postMCastPacketDeltaCount postMCastOctetDeltaCount flowEndSysUpTime flowStartSysUpTime postOctetDeltaCount postPacketDeltaCount minimumIpTotalLength maximumIpTotalLength sourceIPv6Address destinationIPv6Address sourceIPv6PrefixLength destinationIPv6PrefixLength flowLabelIPv6 icmpTypeCodeIPv4 igmpType samplingInterval samplingAlgorithm flowActiveTimeout flowIdleTimeout engineType engineId exportedOctetTotalCount exportedMessageTotalCount exportedFlowRecordTotalCount ipv4RouterSc sourceIPv4Prefix destinationIPv4Prefix mplsTopLabelType mplsTopLabelIPv4Address samplerId samplerMode samplerRandomInterval classId minimumTTL maximumTTL fragmentIdentification postIpClassOfService sourceMacAddress postDestinationMacAddress vlanId postVlanId ipVersion flowDirection ipNextHopIPv6Address bgpNextHopIPv6Address ipv6ExtensionHeaders mplsTopLabelStackSection mplsLabelStackSection2 mplsLabelStackSection3 mplsLabelStackSection4 mplsLabelStackSection5 mplsLabelStackSection6 mplsLabelStackSection7 mplsLabelStackSection8 mplsLabelStackSection9 mplsLabelStackSection10 destinationMacAddress postSourceMacAddress interfaceName interfaceDescription samplerName octetTotalCount packetTotalCount flagsAndSamplerId fragmentOffset forwardingStatus mplsVpnRouteDistinguisher mplsTopLabelPrefixLength srcTrafficIndex dstTrafficIndex applicationDescription applicationId applicationName postIpDiffServCodePoint multicastReplicationFactor className classificationEngineId layer2packetSectionOffset layer2packetSectionSize layer2packetSectionData bgpNextAdjacentAsNumber bgpPrevAdjacentAsNumber exporterIPv4Address exporterIPv6Address droppedOctetDeltaCount droppedPacketDeltaCount droppedOctetTotalCount droppedPacketTotalCount flowEndReason commonPropertiesId observationPointId icmpTypeCodeIPv6 mplsTopLabelIPv6Address lineCardId portId meteringProcessId exportingProcessId templateId wlanChannelId wlanSSID flowId observationDomainId flowStartSeconds flowEndSeconds flowStartMilliseconds flowEndMilliseconds flowStartMicroseconds flowEndMicroseconds flowStartNanoseconds flowEndNanoseconds flowStartDeltaMicroseconds flowEndDeltaMicroseconds systemInitTimeMilliseconds flowDurationMilliseconds flowDurationMicroseconds observedFlowTotalCount ignoredPacketTotalCount ignoredOctetTotalCount notSentFlowTotalCount notSentPacketTotalCount notSentOctetTotalCount destinationIPv6Prefix sourceIPv6Prefix postOctetTotalCount postPacketTotalCount flowKeyIndicator postMCastPacketTotalCount postMCastOctetTotalCount icmpTypeIPv4 icmpCodeIPv4 icmpTypeIPv6 icmpCodeIPv6 udpSourcePort udpDestinationPort tcpSourcePort tcpDestinationPort tcpSequenceNumber tcpAcknowledgementNumber tcpWindowSize tcpUrgentPointer tcpHeaderLength ipHeaderLength totalLengthIPv4 payloadLengthIPv6 ipTTL nextHeaderIPv6 mplsPayloadLength ipDiffServCodePoint ipPrecedence fragmentFlags octetDeltaSumOfSquares octetTotalSumOfSquares mplsTopLabelTTL mplsLabelStackLength mplsLabelStackDepth mplsTopLabelExp ipPayloadLength udpMessageLength isMulticast ipv4IHL ipv4Options tcpOptions paddingOctets collectorIPv4Address collectorIPv6Address exportInterface exportProtocolVersion exportTransportProtocol collectorTransportPort exporterTransportPort tcpSynTotalCount tcpFinTotalCount tcpRstTotalCount tcpPshTotalCount tcpAckTotalCount tcpUrgTotalCount ipTotalLength postNATSourceIPv4Address postNATDestinationIPv4Address postNAPTSourceTransportPort postNAPTDestinationTransportPort natOriginatingAddressRealm natEvent initiatorOctets responderOctets firewallEvent ingressVRFID egressVRFID VRFname postMplsTopLabelExp tcpWindowScale biflowDirection ethernetHeaderLength ethernetPayloadLength ethernetTotalLength dot1qVlanId dot1qPriority dot1qCustomerVlanId dot1qCustomerPriority metroEvcId metroEvcType pseudoWireId pseudoWireType pseudoWireControlWord ingressPhysicalInterface egressPhysicalInterface postDot1qVlanId postDot1qCustomerVlanId ethernetType postIpPrecedence collectionTimeMilliseconds exportSctpStreamId maxExportSeconds maxFlowEndSeconds messageMD5Checksum messageScope minExportSeconds minFlowStartSeconds opaqueOctets sessionScope maxFlowEndMicroseconds maxFlowEndMilliseconds maxFlowEndNanoseconds minFlowStartMicroseconds minFlowStartMilliseconds minFlowStartNanoseconds collectorCertificate exporterCertificate dataRecordsReliability observationPointType newConnectionDeltaCount connectionSumDurationSeconds connectionTransactionId postNATSourceIPv6Address postNATDestinationIPv6Address natPoolId natPoolName anonymizationFlags anonymizationTechnique informationElementIndex p2pTechnology tunnelTechnology encryptedTechnology basicList subTemplateList subTemplateMultiList bgpValidityState IPSecSPI greKey natType initiatorPackets responderPackets observationDomainName selectionSequenceId selectorId informationElementId selectorAlgorithm samplingPacketInterval samplingPacketSpace samplingTimeInterval samplingTimeSpace samplingSize samplingPopulation samplingProbability dataLinkFrameSize ipHeaderPacketSection ipPayloadPacketSection dataLinkFrameSection mplsLabelStackSection mplsPayloadPacketSection selectorIdTotalPktsObserved selectorIdTotalPktsSelected absoluteError relativeError observationTimeSeconds observationTimeMilliseconds observationTimeMicroseconds observationTimeNanoseconds digestHashValue hashIPPayloadOffset hashIPPayloadSize hashOutputRangeMin hashOutputRangeMax hashSelectedRangeMin hashSelectedRangeMax hashDigestOutput hashInitialiserValue selectorName upperCILimit lowerCILimit confidenceLevel informationElementDataType informationElementDescription informationElementName informationElementRangeBegin informationElementRangeEnd informationElementSemantics informationElementUnits privateEnterpriseNumber virtualStationInterfaceId virtualStationInterfaceName virtualStationUUID virtualStationName layer2SegmentId layer2OctetDeltaCount layer2OctetTotalCount ingressUnicastPacketTotalCount ingressMulticastPacketTotalCount ingressBroadcastPacketTotalCount egressUnicastPacketTotalCount egressBroadcastPacketTotalCount monitoringIntervalStartMilliSeconds monitoringIntervalEndMilliSeconds portRangeStart portRangeEnd portRangeStepSize portRangeNumPorts staMacAddress staIPv4Address wtpMacAddress ingressInterfaceType egressInterfaceType rtpSequenceNumber userName applicationCategoryName applicationSubCategoryName applicationGroupName originalFlowsPresent originalFlowsInitiated originalFlowsCompleted distinctCountOfSourceIPAddress distinctCountOfDestinationIPAddress distinctCountOfSourceIPv4Address distinctCountOfDestinationIPv4Address distinctCountOfSourceIPv6Address distinctCountOfDestinationIPv6Address valueDistributionMethod rfc3550JitterMilliseconds rfc3550JitterMicroseconds rfc3550JitterNanoseconds dot1qDEI dot1qCustomerDEI flowSelectorAlgorithm flowSelectedOctetDeltaCount flowSelectedPacketDeltaCount flowSelectedFlowDeltaCount selectorIDTotalFlowsObserved selectorIDTotalFlowsSelected samplingFlowInterval samplingFlowSpacing flowSamplingTimeInterval flowSamplingTimeSpacing hashFlowDomain transportOctetDeltaCount transportPacketDeltaCount originalExporterIPv4Address originalExporterIPv6Address originalObservationDomainId intermediateProcessId ignoredDataRecordTotalCount dataLinkFrameType sectionOffset sectionExportedOctets dot1qServiceInstanceTag dot1qServiceInstanceId dot1qServiceInstancePriority dot1qCustomerSourceMacAddress dot1qCustomerDestinationMacAddress postLayer2OctetDeltaCount postMCastLayer2OctetDeltaCount postLayer2OctetTotalCount postMCastLayer2OctetTotalCount minimumLayer2TotalLength maximumLayer2TotalLength droppedLayer2OctetDeltaCount droppedLayer2OctetTotalCount ignoredLayer2OctetTotalCount notSentLayer2OctetTotalCount layer2OctetDeltaSumOfSquares layer2OctetTotalSumOfSquares layer2FrameDeltaCount layer2FrameTotalCount pseudoWireDestinationIPv4Address ignoredLayer2FrameTotalCount mibObjectValueInteger mibObjectValueOctetString mibObjectValueOID mibObjectValueBits mibObjectValueIPAddress mibObjectValueCounter mibObjectValueGauge mibObjectValueTimeTicks mibObjectValueUnsigned mibObjectValueTable mibObjectValueRow mibObjectIdentifier mibSubIdentifier mibIndexIndicator mibCaptureTimeSemantics mibContextEngineID mibContextName mibObjectName mibObjectDescription mibObjectSyntax mibModuleName mobileIMSI mobileMSISDN httpStatusCode sourceTransportPortsLimit httpRequestMethod httpRequestHost httpRequestTarget httpMessageVersion natInstanceID internalAddressRealm externalAddressRealm natQuotaExceededEvent natThresholdEvent httpUserAgent httpContentType httpReasonPhrase maxSessionEntries maxBIBEntries maxEntriesPerUser maxSubscribers maxFragmentsPendingReassembly addressPoolHighThreshold addressPoolLowThreshold addressPortMappingHighThreshold addressPortMappingLowThreshold addressPortMappingPerUserHighThreshold globalAddressMappingHighThreshold vpnIdentifier bgpCommunity bgpSourceCommunityList bgpDestinationCommunityList bgpExtendedCommunity bgpSourceExtendedCommunityList bgpDestinationExtendedCommunityList bgpLargeCommunity bgpSourceLargeCommunityList bgpDestinationLargeCommunityList srhFlagsIPv6 srhTagIPv6 srhSegmentIPv6 srhActiveSegmentIPv6 srhSegmentIPv6BasicList srhSegmentIPv6ListSection srhSegmentsIPv6Left srhIPv6Section srhIPv6ActiveSegmentType srhSegmentIPv6LocatorLength srhSegmentIPv6EndpointBehavior transportChecksum icmpHeaderPacketSection gtpuFlags gtpuMsgType gtpuTEid gtpuSequenceNum gtpuQFI gtpuPduType bgpSourceAsPathList bgpDestinationAsPathList ipv6ExtensionHeaderType ipv6ExtensionHeaderCount ipv6ExtensionHeadersFull ipv6ExtensionHeaderTypeCountList ipv6ExtensionHeadersLimit ipv6ExtensionHeadersChainLength ipv6ExtensionHeaderChainLengthList tcpOptionsFull tcpSharedOptionExID16 tcpSharedOptionExID32 tcpSharedOptionExID16List tcpSharedOptionExID32List udpSafeOptions udpUnsafeOptions udpExID udpSafeExIDList udpUnsafeExIDList pathDelayMeanDeltaMicroseconds pathDelayMinDeltaMicroseconds pathDelayMaxDeltaMicroseconds pathDelaySumDeltaMicroseconds dartaTunnelDepth dartaStatistic dartaRank dartaOctetShare dartaPacketShare dartaFlowShare dartaGroupCount dartaEndpointIPv4Address dartaEndpointIPv6Address dartaEndpointPrefixLength dartaEndpointTransportPort dartaEndpointAsNumber dartaEndpointInterface dartaEndpointVlanId dartaEndpointMacAddress dartaServicePort dartaWindowStartMilliseconds dartaWindowEndMilliseconds dartaBitRate dartaPacketRate dartaMeanPacketOctets dartaShare dartaLandmarkDigest dartaTurnPacketCount dartaKernelPacketTotalCount dartaKernelDroppedPacketTotalCount dartaRingFreezeTotalCount dartaInterfaceDownTotalCount dartaInterfacePacketTotalCount dartaInterfaceMissedPacketTotalCount dartaInterfaceDroppedPacketTotalCount dartaInterfaceErrorPacketTotalCount dartaSamplingFactor dartaMissingRecordTotalCount dartaMissingMessageTotalCount dartaLostRecordTotalCount dartaDuplicateMessageTotalCount dartaReorderedMessageTotalCount dartaSequenceResetTotalCount dartaCollectedMessageTotalCount dartaCollectedRecordTotalCount dartaExportProtocol netflow9ScopeSystem netflow9ScopeInterface netflow9ScopeCache netflow9ScopeOther netflow7InvalidFields netflow7ValidFlags netflow7BypassedRouter netflow1Reserved sflowAgentIPv4Address sflowAgentIPv6Address sflowAgentUptime sflowSampleSequence sflowSourceIdType sflowSourceIdIndex sflowSamplePool sflowSampleDrops sflowInputFormat sflowInputValue sflowOutputFormat sflowOutputValue sflowHeaderProtocol sflowHeaderStripped sflowHeaderSection sflowSourceVlanPriority sflowDestinationVlanPriority sflowRouterAsNumber sflowDestinationSystems sflowCommunities sflowLocalPreference sflowRecordFormat sflowRecordOctets sflowSampleFormat sflowSampleOctets sflowPriority sflowIfIndex sflowIfType sflowIfSpeed sflowIfDirection sflowIfStatus sflowIfInOctets sflowIfInUnicastPackets sflowIfInMulticastPackets sflowIfInBroadcastPackets sflowIfInDiscards sflowIfInErrors sflowIfInUnknownProtocols sflowIfOutOctets sflowIfOutUnicastPackets sflowIfOutMulticastPackets sflowIfOutBroadcastPackets sflowIfOutDiscards sflowIfOutErrors sflowIfPromiscuousMode sflowDot3AlignmentErrors sflowDot3FcsErrors sflowDot3SingleCollisionFrames sflowDot3MultipleCollisionFrames sflowDot3SqeTestErrors sflowDot3DeferredTransmissions sflowDot3LateCollisions sflowDot3ExcessiveCollisions sflowDot3InternalMacTransmitErrors sflowDot3CarrierSenseErrors sflowDot3FrameTooLongs sflowDot3InternalMacReceiveErrors sflowDot3SymbolErrors sflowVlanId sflowVlanOctets sflowVlanUnicastPackets sflowVlanMulticastPackets sflowVlanBroadcastPackets sflowVlanDiscards sflowProcessorCpu5s sflowProcessorCpu1m sflowProcessorCpu5m sflowProcessorTotalMemory sflowProcessorFreeMemory sflowHostCpuLoadOne sflowHostCpuLoadFive sflowHostCpuLoadFifteen sflowHostCpuProcessesRunning sflowHostCpuProcessesTotal sflowHostCpuCount sflowHostCpuSpeed sflowHostCpuUptime sflowHostCpuUser sflowHostCpuNice sflowHostCpuSystem sflowHostCpuIdle sflowHostCpuWaitIo sflowHostCpuInterrupt sflowHostCpuSoftInterrupt sflowHostCpuInterrupts sflowHostCpuContexts sflowHostCpuSteal sflowHostCpuGuest sflowHostCpuGuestNice sflowHostMemoryTotal sflowHostMemoryFree sflowHostMemoryShared sflowHostMemoryBuffers sflowHostMemoryCached sflowHostMemorySwapTotal sflowHostMemorySwapFree sflowHostMemoryPageIn sflowHostMemoryPageOut sflowHostMemorySwapIn sflowHostMemorySwapOut sflowHostDiskTotal sflowHostDiskFree sflowHostDiskPartitionMostUsed sflowHostDiskReads sflowHostDiskOctetsRead sflowHostDiskReadTime sflowHostDiskWrites sflowHostDiskOctetsWritten sflowHostDiskWriteTime sflowHostNetInOctets sflowHostNetInPackets sflowHostNetInErrors sflowHostNetInDrops sflowHostNetOutOctets sflowHostNetOutPackets sflowHostNetOutErrors sflowHostNetOutDrops sflowPortName sflowHostName sflowHostUuid sflowHostMachineType sflowHostOsName sflowHostOsRelease dartaShareMark dartaShareNode dartaShareEpoch dartaSharePlanDigest dartaShareOwners dartaShareStandby dartaShareRole dartaShareSlot dartaShareTaken dartaShareLostNode dartaShareThruMilliseconds dartaDigestSum dartaDigestXor dartaFinding dartaScore dartaFilter dartaPeerCount dartaPortCount dartaFailedCount dartaSucceededCount dartaObserver dartaOtherObserver dartaObserverCount dartaDelayMinimumNanoseconds dartaDelayMedianNanoseconds dartaDelayHighNanoseconds dartaDelayMaximumNanoseconds dartaMatchedCount dartaLostPackets dartaAccount dartaTrafficClass dartaTariff dartaAmountMicro dartaEntropy dartaFeature dartaBaseline dartaIntervalMilliseconds dartaJitter dartaErrorBound dartaUserId dartaNamespaceUserId dartaAccountRow dartaProtocolClass dartaProcessId dartaProcessName dartaCgroupId dartaSocketCookie dartaUserSource dartaPeerUserName dartaPeerUserId dartaProcessAttribution dartaPeerProcessId dartaPeerProcessName dartaPeerProcessAttribution dartaSharePreviousOwners dartaSharePreviousStandby dartaShareGuardMilliseconds dartaAccountingRecordType dartaSourceSessionId dartaAccountingMultiSessionId dartaAccountingRecordNumber dartaSessionSeconds dartaNasIdentifier dartaNasIPv4Address dartaNasIPv6Address dartaNasPort dartaNasPortName dartaNasPortType dartaCalledStation dartaCallingStation dartaTerminateCause dartaServiceType dartaFramedProtocol dartaAccountingClass dartaDelegatedIPv6Prefix dartaDelegatedIPv6PrefixLength dartaRadiusAttributes dartaAccountingDelaySeconds dartaAccountingAuthentic dartaAccountingHost dartaAccountingRealm dartaAccountingSubSessionId dartaDiameterAvps dartaTextLine dartaSourceCountry dartaDestinationCountry dartaSourceCity dartaDestinationCity dartaSourceAsName dartaDestinationAsName dartaSourceLabel dartaDestinationLabel dartaSourceHostName dartaDestinationHostName dartaIngressInterfaceName dartaEgressInterfaceName dartaIpdrDocument dartaIpdrSession dartaIpdrSequenceNumber dartaIpdrSchema dartaIpdrRecord dartaIpdrTemplateId dartaIpdrConfigurationId dartaReadingIntervalMilliseconds dartaInterfaceInOctetDeltaCount dartaInterfaceInPacketDeltaCount dartaInterfaceInDiscardDeltaCount dartaInterfaceInErrorDeltaCount dartaInterfaceOutOctetDeltaCount dartaInterfaceOutPacketDeltaCount dartaInterfaceOutDiscardDeltaCount dartaInterfaceOutErrorDeltaCount dartaCounterContinuity dartaNotification dartaNotificationKind'
  COMPREPLY=()
  # bash breaks --flag=value into three words.
  if [[ $current == = ]]; then
    current=''
  elif [[ $previous == = ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  if [[ $current == *,* ]]; then before=${current%,*},; fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -z $command ]]; then
      if [[ $word != -* ]]; then command=$word; fi
    elif [[ $word == = ]]; then
      i=$((i + 1))
    elif [[ $word == -?* ]]; then
      if _darta_takes_value "$command" "$word" && [[ ${COMP_WORDS[i + 1]} != = ]]; then i=$((i + 1)); fi
    else
      position=$((position + 1))
    fi
  done
  case $command in
    '') mapfile -t COMPREPLY < <(compgen -W 'aggregate analyze anonymize capture collect doctor enrich filter ie info ipfix-export print route set sort split user-map help --help --version' -- "$current") ;;
    help) mapfile -t COMPREPLY < <(compgen -W 'aggregate analyze anonymize capture collect doctor enrich filter ie info ipfix-export print route set sort split user-map' -- "$current") ;;
    aggregate)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -c|--count) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        -A|--keys) :; return ;;
        -s|--statistic) :; return ;;
        -O|--order) :; return ;;
        -k|--top) :; return ;;
        --bin) :; return ;;
        --distribution) mapfile -t COMPREPLY < <(compgen -W 'start end mid uniform proportional' -- "$current"); return ;;
        --sum) :; return ;;
        --min) :; return ;;
        --max) :; return ;;
        --mean) :; return ;;
        --distinct) :; return ;;
        --approx-distinct) :; return ;;
        --quantile) :; return ;;
        --max-memory) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -c --count -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint -a --aggregate -A --keys -s --statistic -O --order -k --top --bin --distribution --sum --min --max --mean --distinct --approx-distinct --quantile --max-memory -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    analyze)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        --window) :; return ;;
        --slide) :; return ;;
        --lateness) :; return ;;
        --max-memory) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --engine) :; return ;;
        --replicas) :; return ;;
        --engine-size) :; return ;;
        --engine-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --engine-credentials) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --exec) :; return ;;
        --feed) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        --key) :; return ;;
        --metrics) :; return ;;
        --min-contacts) :; return ;;
        --jitter) :; return ;;
        --min-interval) :; return ;;
        --min-rate) :; return ;;
        --factor) :; return ;;
        --min-sources) :; return ;;
        --bin) :; return ;;
        --min-matched) :; return ;;
        --by) mapfile -t COMPREPLY < <(compgen -W 'flows packets octets' -- "$current"); return ;;
        --deviations) :; return ;;
        --side) mapfile -t COMPREPLY < <(compgen -W 'source destination' -- "$current"); return ;;
        --share) :; return ;;
        --src-prefix) :; return ;;
        --dst-prefix) :; return ;;
        --src-prefix6) :; return ;;
        --dst-prefix6) :; return ;;
        -k|--top) :; return ;;
        --min-failed) :; return ;;
        --min-clients) :; return ;;
        -s|--statistic) :; return ;;
        --rating) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--list -r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress --window --slide --lateness --max-memory -f --filter -F --filter-file -t --time-range --engine --replicas --engine-size --engine-ca --engine-credentials --allow-old-server --follow -n --numeric -N --plain --units --exec --feed --key --symmetric -q --quiet -v --verbose --json --metrics --strict-loss --one-way --why --min-contacts --jitter --min-interval --min-rate --factor --min-sources --bin --min-matched --by --deviations --side --share --src-prefix --dst-prefix --src-prefix6 --dst-prefix6 -k --top --uniflow --min-failed --udp --min-clients -s --statistic --rating --help' -- "$current")
        return
      fi
      case $position in
        1) : ;;
      esac
      ;;
    anonymize)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        -c|--count) :; return ;;
        --method) mapfile -t COMPREPLY < <(compgen -W 'crypto-pan truncate black' -- "$current"); return ;;
        --key-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --key-agent) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --bits) :; return ;;
        --ports) mapfile -t COMPREPLY < <(compgen -W 'keep bin black' -- "$current"); return ;;
        --time-shift) :; return ;;
        --time-precision) :; return ;;
        --policy) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -l --line-buffered -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint -c --count --method --key-file --key-agent --bits --ports --time-shift --time-precision --policy --no-options -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    capture)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -i|--interface) mapfile -t COMPREPLY < <(compgen -W "any $(ls /sys/class/net 2>/dev/null)" -- "$current"); return ;;
        -f|--filter) :; return ;;
        --backend) :; return ;;
        -s|--snaplen) :; return ;;
        -B|--buffer) :; return ;;
        --threads) :; return ;;
        --share) :; return ;;
        --by) :; return ;;
        --share-seed) :; return ;;
        --begin) :; return ;;
        --stats-interval) :; return ;;
        -u|--user) :; return ;;
        -g|--user-group) :; return ;;
        --group) :; return ;;
        --node) :; return ;;
        --weight) :; return ;;
        --shadow) :; return ;;
        --shadow-memory) :; return ;;
        --leave-wait) :; return ;;
        --report) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        --emit) mapfile -t COMPREPLY < <(compgen -W 'flows packets pcap' -- "$current"); return ;;
        --key) :; return ;;
        -T|--timeouts) :; return ;;
        --active-timeout) :; return ;;
        --idle-timeout) :; return ;;
        --timeout) :; return ;;
        --precision) mapfile -t COMPREPLY < <(compgen -W 'ms us ns' -- "$current"); return ;;
        --fields) mapfile -t COMPREPLY < <(compgen -P "$before" -W "$elements" -- "${current##*,}"); return ;;
        --section) :; return ;;
        --max-memory) :; return ;;
        --max-flows) :; return ;;
        --on-full) mapfile -t COMPREPLY < <(compgen -W 'evict drop fail' -- "$current"); return ;;
        -c|--count) :; return ;;
        --seed) :; return ;;
        --odid) :; return ;;
        --record-filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --meter) mapfile -t COMPREPLY < <(compgen -W 'auto native typescript' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -D --list-interfaces -i --interface -f --filter --backend -s --snaplen -B --buffer --threads --no-promiscuous --share --by --share-seed --mirror-port --begin --stats-interval -u --user -g --user-group --group --node --weight --shadow --shadow-memory --leave-wait --report --tls-cert --tls-key --tls-ca --tls-peer -w --write -o --output --force -z --compress --emit --key --biflow --decap -T --timeouts --active-timeout --idle-timeout --timeout --precision --fields --section --max-memory --max-flows --on-full -c --count --seed --odid --record-filter -F --filter-file --meter -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    collect)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -b|--bind) :; return ;;
        -p|--port) :; return ;;
        -B|--buffer) :; return ;;
        --allow) :; return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        --decode-as) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        --template-lifetime) :; return ;;
        --template-cache) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --sampling) :; return ;;
        --max-sessions) :; return ;;
        --max-new) :; return ;;
        --journal) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -G|--rotate|--rotate) :; return ;;
        -C|--rotate-size) :; return ;;
        -W|--files) :; return ;;
        -S|--layout) :; return ;;
        -x|--exec) :; return ;;
        -I|--ident) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -c|--count) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -b --bind -p --port -B --buffer --allow --tls-cert --tls-key --tls-ca --tls-peer --decode-as --input-format --template-lifetime --template-cache --ignore-ports --sampling --max-sessions --max-new --no-origin --no-losses --time-window --session-details --message-digest --journal -w --write -G --rotate --rotate -C --rotate-size -W --files -S --layout -x --exec -I --ident -o --output --force -z --compress -l --line-buffered -c --count -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in

      esac
      ;;
    doctor)
      case $previous in
        --offered) :; return ;;
        --nodes) :; return ;;
        --times) :; return ;;
        --cores) mapfile -t COMPREPLY < <(compgen -W '1 2' -- "$current"); return ;;
        --application-cost) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'text ndjson' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--all --capacity --offered --nodes --times --cores --mirror-port --application-cost -o --output -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) mapfile -t COMPREPLY < <(compgen -W "any $(ls /sys/class/net 2>/dev/null)" -- "$current") ;;
      esac
      ;;
    enrich)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        -c|--count) :; return ;;
        --country) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --city) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --as) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --labels) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --resolver) :; return ;;
        --names-wait) :; return ;;
        --names-at-once) :; return ;;
        --names-cache) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -l --line-buffered -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint -c --count --country --city --as --as-names --labels --interfaces --names --resolver --names-wait --names-at-once --names-cache -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    filter)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        --fail) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -c|--max-count) :; return ;;
        --options) mapfile -t COMPREPLY < <(compgen -W 'pass drop test' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -l --line-buffered -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint --fail --invert --count -c --max-count -e --exit-match --options --strict --check --explain --ast -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    ie)
      case $previous in
        --type) :; return ;;
        --range) :; return ;;
        --status) mapfile -t COMPREPLY < <(compgen -W 'current deprecated' -- "$current"); return ;;
        --map) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'table ndjson json csv' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--type --range --status --map --spec -o --output -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) mapfile -t COMPREPLY < <(compgen -W "$elements" -- "$current") ;;
      esac
      ;;
    info)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'text ndjson json' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format --totals -f --filter -F --filter-file -t --time-range --templates --check --compare -o --output -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in

      esac
      ;;
    ipfix-export)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        --rate) :; return ;;
        --replay) :; return ;;
        --as) mapfile -t COMPREPLY < <(compgen -W 'ipfix netflow9 netflow5 sflow' -- "$current"); return ;;
        --max-message) :; return ;;
        --template-refresh) :; return ;;
        --reconnect) :; return ;;
        --linger) :; return ;;
        --stall) :; return ;;
        --loss-report) :; return ;;
        --queue) :; return ;;
        --spill) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --spill-size) :; return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format --rate --replay --as --max-message --template-refresh --reconnect --linger --stall --loss-report --queue --spill --spill-size --tls-cert --tls-key --tls-ca --tls-peer -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in

      esac
      ;;
    print)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -c|--count) :; return ;;
        -O|--order) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -l --line-buffered -c --count -O --order -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    route)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --app) :; return ;;
        --key) :; return ;;
        --name) :; return ;;
        --exec) :; return ;;
        --to) :; return ;;
        --units) :; return ;;
        --weights) :; return ;;
        --seed) :; return ;;
        --engine) :; return ;;
        --replicas) :; return ;;
        --engine-size) :; return ;;
        --engine-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --engine-credentials) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --window) :; return ;;
        --lateness) :; return ;;
        --parts) :; return ;;
        --remove) :; return ;;
        --hook) :; return ;;
        --engine-roles) mapfile -t COMPREPLY < <(compgen -d -- "$current"); return ;;
        --tenant) :; return ;;
        --explain) :; return ;;
        -c|--count) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -f --filter -F --filter-file -t --time-range --app --key --symmetric --name --exec --to --units --weights --restart --split-hot --seed --engine --replicas --engine-size --engine-ca --engine-credentials --allow-old-server --window --lateness --parts --status --remove --hook --engine-roles --tenant --dev-engine --explain --check -c --count --join -o --output -w --write --force --tls-cert --tls-key --tls-ca --tls-peer -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in

      esac
      ;;
    set)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -z|--compress) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --of) :; return ;;
        --intersect) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --subtract) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --networks) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'prefixes ranges values' -- "$current"); return ;;
        --contains) :; return ;;
        --max-memory) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write --force -z --compress -f --filter -F --filter-file -t --time-range --of --intersect --subtract --networks -o --output --count --contains --max-memory -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    sort)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -R|--read-range) :; return ;;
        --input-format) mapfile -t COMPREPLY < <(compgen -W 'ipdr ipfix json map ndjson plugin' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        --time) :; return ;;
        --bigint) mapfile -t COMPREPLY < <(compgen -W 'number string' -- "$current"); return ;;
        -O|--order) :; return ;;
        --ignore) :; return ;;
        -c|--count) :; return ;;
        --max-memory) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read -R --read-range --xargs --input-format -w --write -o --output --force -z --compress -f --filter -F --filter-file -t --time-range -n --numeric -N --plain --units --time --bigint -O --order --unique --ignore --first --merge -c --count --max-memory -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        *) : ;;
      esac
      ;;
    split)
      case $previous in
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --parts) :; return ;;
        --weights) :; return ;;
        --match) :; return ;;
        --by) :; return ;;
        --share-seed) :; return ;;
        -w|--write) :; return ;;
        --exec) :; return ;;
        --to) :; return ;;
        -G|--rotate) :; return ;;
        -C|--rotate-size) :; return ;;
        -W|--rotate-files) :; return ;;
        -z|--compress) :; return ;;
        -x|--hook) :; return ;;
        -f|--filter) :; return ;;
        -F|--filter-file) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -t|--time-range) :; return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        --print-filter) :; return ;;
        --as) mapfile -t COMPREPLY < <(compgen -W 'expression bpf' -- "$current"); return ;;
        --coordinate) :; return ;;
        --redundancy) :; return ;;
        --ttl) :; return ;;
        --guard) :; return ;;
        --status) :; return ;;
        --verify) :; return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '-r --read --parts --weights --match --by --share-seed -w --write --exec --to --restart -G --rotate -C --rotate-size -W --rotate-files -z --compress -x --hook --join -f --filter -F --filter-file -t --time-range -o --output --force --print-filter --drift --as --coordinate --redundancy --ttl --guard --status --verify --tls-cert --tls-key --tls-ca --tls-peer -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in

      esac
      ;;
    user-map)
      case $previous in
        --source) mapfile -t COMPREPLY < <(compgen -W 'auto kmod ebpf sockets' -- "$current"); return ;;
        --cgroup) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -r|--read) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --users) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --nat) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --slack) :; return ;;
        --interval) :; return ;;
        -c|--count) :; return ;;
        --ledger) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --head) :; return ;;
        --spool) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --interim) :; return ;;
        --idle) :; return ;;
        --identity) :; return ;;
        --realm) :; return ;;
        --destination-realm) :; return ;;
        --reconnect) :; return ;;
        --linger) :; return ;;
        --watchdog) :; return ;;
        --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        --tls-peer) :; return ;;
        --units) mapfile -t COMPREPLY < <(compgen -W 'none si iec' -- "$current"); return ;;
        -w|--write) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
        -o|--output) mapfile -t COMPREPLY < <(compgen -W 'csv fmt ipfix json long ndjson null raw table tsv wide' -- "$current"); return ;;
        -z|--compress) :; return ;;
        --metrics) :; return ;;
      esac
      if [[ $current == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '--source --cgroup -r --read --users --nat --slack --interval --once -c --count --reset --processes --ledger --head --spool --interim --idle --identity --realm --destination-realm --reconnect --linger --watchdog --tls-cert --tls-key --tls-ca --tls-peer -n --numeric --units -N --plain -w --write -o --output --force -z --compress -q --quiet -v --verbose --json --metrics --strict-loss --help' -- "$current")
        return
      fi
      case $position in
        1) mapfile -t COMPREPLY < <(compgen -W 'tag account audit verify status load unload' -- "$current") ;;
        2) : ;;
      esac
      ;;
  esac
}

complete -o filenames -F _darta darta
