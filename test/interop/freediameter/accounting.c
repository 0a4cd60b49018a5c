// An accounting server as an extension of freeDiameter: writes a line for each Accounting-Request that it takes, to the
// file that its configuration names, and answers it. Debian packages no extension that does; this one has no database.
#include <freeDiameter/extension.h>

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

static FILE *records;

static union avp_value *value_of(struct msg *request, const char *name)
{
	struct dict_object *kind;
	struct avp *avp = NULL;
	struct avp_hdr *header;

	if (fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME_ALL_VENDORS, name, &kind, ENOENT) != 0 ||
	    fd_msg_search_avp(request, kind, &avp) != 0 || avp == NULL ||
	    fd_msg_avp_hdr(avp, &header) != 0)
		return NULL;
	return header->avp_value;
}

static void write_text(const char *name, const union avp_value *value)
{
	if (value != NULL)
		fprintf(records, "\"%s\":\"%.*s\",", name, (int)value->os.len, (const char *)value->os.data);
}

static void write_number(const char *name, const union avp_value *value)
{
	if (value != NULL)
		fprintf(records, "\"%s\":%" PRIu64 ",", name, value->u64);
}

static int copy_avp(struct msg *answer, const char *name, const union avp_value *value)
{
	struct dict_object *kind;
	struct avp *avp;

	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_AVP, AVP_BY_NAME, name, &kind, ENOENT));
	CHECK_FCT(fd_msg_avp_new(kind, 0, &avp));
	CHECK_FCT(fd_msg_avp_setvalue(avp, (union avp_value *)value));
	return fd_msg_avp_add(answer, MSG_BRW_LAST_CHILD, avp);
}

static int account(struct msg **message, struct avp *avp, struct session *session, void *data,
		   enum disp_action *action)
{
	struct msg *request = *message;
	struct msg_hdr *header;
	union avp_value *type = value_of(request, "Accounting-Record-Type");
	union avp_value *number = value_of(request, "Accounting-Record-Number");
	union avp_value type_copy, number_copy;

	if (type == NULL || number == NULL)
		return EINVAL;
	CHECK_FCT(fd_msg_hdr(request, &header));
	type_copy = *type;
	number_copy = *number;
	// Requests are served by several threads.
	flockfile(records);
	fprintf(records, "{");
	write_text("session", value_of(request, "Session-Id"));
	write_text("user", value_of(request, "User-Name"));
	write_number("inputOctets", value_of(request, "Accounting-Input-Octets"));
	write_number("outputOctets", value_of(request, "Accounting-Output-Octets"));
	write_number("inputPackets", value_of(request, "Accounting-Input-Packets"));
	write_number("outputPackets", value_of(request, "Accounting-Output-Packets"));
	fprintf(records, "\"type\":%d,\"number\":%u,\"endToEnd\":%u,\"retransmitted\":%s}\n", type->i32, number->u32,
		header->msg_eteid, header->msg_flags & CMD_FLAG_RETRANSMIT ? "true" : "false");
	fflush(records);
	fdatasync(fileno(records));
	funlockfile(records);
	CHECK_FCT(fd_msg_new_answer_from_req(fd_g_config->cnf_dict, message, 0));
	CHECK_FCT(fd_msg_rescode_set(*message, "DIAMETER_SUCCESS", NULL, NULL, 1));
	CHECK_FCT(copy_avp(*message, "Accounting-Record-Type", &type_copy));
	CHECK_FCT(copy_avp(*message, "Accounting-Record-Number", &number_copy));
	*action = DISP_ACT_SEND;
	return 0;
}

static int begin(char *path)
{
	struct disp_when when = {0};
	struct dict_object *application;

	records = fopen(path, "a");
	if (records == NULL)
		return errno;
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_APPLICATION, APPLICATION_BY_NAME,
				 "Diameter Base Accounting", &application, ENOENT));
	CHECK_FCT(fd_dict_search(fd_g_config->cnf_dict, DICT_COMMAND, CMD_BY_NAME, "Accounting-Request", &when.command,
				 ENOENT));
	CHECK_FCT(fd_disp_register(account, DISP_HOW_CC, &when, NULL, NULL));
	return fd_disp_app_support(application, NULL, 0, 1);
}

EXTENSION_ENTRY("accounting", begin);
