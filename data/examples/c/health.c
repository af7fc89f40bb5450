/*
 * Prints how the machine is, and then each change of it, until Ctrl-C. With sd-bus, the D-Bus library of systemd.
 *
 *     sudo apt install build-essential pkg-config libsystemd-dev
 *     make && ./health
 *
 * HEALTHD_BUS chooses the bus: system (which is the default), session, or an address like unix:path=/run/bus.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#define NAME "org.healthd.Health1"
#define ROOT "/org/healthd/Health1"
#define MANAGER "org.healthd.Health1.Manager"
#define PROPERTIES "org.freedesktop.DBus.Properties"

/* Opens the bus that is wanted. Gives 0, or a negative errno, as all here do. */
static int open_bus(sd_bus **bus) {
        const char *chosen = getenv("HEALTHD_BUS");
        int r;

        if (!chosen || strcmp(chosen, "system") == 0)
                return sd_bus_open_system(bus);
        if (strcmp(chosen, "session") == 0)
                return sd_bus_open_user(bus);
        r = sd_bus_new(bus);
        if (r >= 0)
                r = sd_bus_set_address(*bus, chosen);
        if (r >= 0)
                r = sd_bus_set_bus_client(*bus, 1);
        return r < 0 ? r : sd_bus_start(*bus);
}

/* Asks for Health. The call does not start a healthd that was stopped on purpose. */
static int print_health(sd_bus *bus) {
        sd_bus_error error = SD_BUS_ERROR_NULL;
        sd_bus_message *call = NULL, *reply = NULL;
        const char *health;
        int r;

        r = sd_bus_message_new_method_call(bus, &call, NAME, ROOT, PROPERTIES, "Get");
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, 0);
        if (r >= 0)
                r = sd_bus_message_append(call, "ss", MANAGER, "Health");
        if (r >= 0)
                r = sd_bus_call(bus, call, 0, &error, &reply);
        if (r >= 0)
                r = sd_bus_message_read(reply, "v", "s", &health);
        if (r >= 0)
                printf("health %s\n", health);
        else if (sd_bus_error_is_set(&error)) {
                /* The bus is there, and healthd is not. */
                printf("health unknown (%s)\n", error.message);
                r = 0;
        }
        sd_bus_error_free(&error);
        sd_bus_message_unref(reply);
        sd_bus_message_unref(call);
        return r;
}

/* PropertiesChanged(s interface, a{sv} changed, as invalidated): only what changed is in it. */
static int changed(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        const char *property, *health;
        int r;

        (void) userdata, (void) error;
        r = sd_bus_message_skip(signal, "s");
        if (r >= 0)
                r = sd_bus_message_enter_container(signal, 'a', "{sv}");
        while (r >= 0 && (r = sd_bus_message_enter_container(signal, 'e', "sv")) > 0) {
                r = sd_bus_message_read(signal, "s", &property);
                if (r >= 0 && strcmp(property, "Health") == 0) {
                        r = sd_bus_message_read(signal, "v", "s", &health);
                        if (r >= 0)
                                printf("health %s\n", health);
                } else if (r >= 0)
                        r = sd_bus_message_skip(signal, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(signal);
        }
        return r;
}

/* NameOwnerChanged: healthd was started or ended. */
static int came_or_went(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        sd_bus *bus = userdata;
        const char *now;
        int r;

        (void) error;
        r = sd_bus_message_read(signal, "sss", NULL, NULL, &now);
        if (r < 0)
                return r;
        if (*now)
                return print_health(bus);
        printf("health unknown (healthd ended)\n");
        return 0;
}

int main(void) {
        sd_bus *bus = NULL;
        int r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        r = open_bus(&bus);
        /* First subscribe, then ask: nothing that happens between the two is missed. */
        if (r >= 0)
                r = sd_bus_match_signal(bus, NULL, NAME, ROOT, PROPERTIES, "PropertiesChanged", changed, NULL);
        if (r >= 0)
                r = sd_bus_add_match(bus, NULL,
                                     "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
                                     "member='NameOwnerChanged',arg0='" NAME "'",
                                     came_or_went, bus);
        if (r >= 0)
                r = print_health(bus);
        while (r >= 0) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
        }
        fprintf(stderr, "health: %s\n", strerror(-r));
        sd_bus_flush_close_unref(bus);
        return EXIT_FAILURE;
}
