/* Open a handle with options. */
#include <election.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    election_t *handle;
    const char *files = getenv("ZOOKEEPER_TLS"); /* for example "ca.pem,client.crt,client.key" */
    const char *password = getenv("ZOOKEEPER_PASSWORD_FILE");
    election_options_t *options = election_options_new();
    int rc = election_options_set_session_timeout_ms(options, 6000);
    if (rc == ELECTION_OK)
        rc = election_options_set_connect_timeout_ms(options, 5000);
    if (rc == ELECTION_OK)
        rc = election_options_set_recipe(options, ELECTION_RECIPE_NODE);
    if (rc == ELECTION_OK)
        rc = election_options_set_grace_ms(options, 500); /* let the old master finish */
    if (rc == ELECTION_OK)
        rc = election_options_set_tick_ms(options, 2000); /* tickTime of the servers */
    if (rc == ELECTION_OK)
        rc = election_options_set_lease_margin_ms(options, 100);
    if (rc == ELECTION_OK)
        rc = election_options_set_lease_mode(options, ELECTION_LEASE_COMMITTED);
    if (rc == ELECTION_OK)
        rc = election_options_set_frame_limit_bytes(options, 16 << 20); /* for a queue of 300,000 */
    if (rc == ELECTION_OK && files != NULL)
        rc = election_options_set_tls(options, files);
    if (rc == ELECTION_OK)
        rc = election_options_set_tls_verify_host(options, 1); /* the default */
    if (rc == ELECTION_OK && password != NULL)
        rc = election_options_set_sasl(options, "mechanism", "DIGEST-MD5");
    if (rc == ELECTION_OK && password != NULL)
        rc = election_options_set_sasl(options, "user", "worker");
    if (rc == ELECTION_OK && password != NULL)
        rc = election_options_set_sasl(options, "password_file", password);
    if (rc == ELECTION_OK)
        rc = election_open("127.0.0.1:2181", options, &handle);
    election_options_free(options);
    printf("libelection %s: %s\n", election_version(), election_explain(rc));
    return rc != ELECTION_OK || election_close(handle) != ELECTION_OK;
}
